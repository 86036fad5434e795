//! Hugging Face's names for the tensors of Segment Anything, as the authors named them.

use std::collections::HashMap;

use candle_core::Tensor;

/// The beginnings of names: Hugging Face's, the authors'. The first that fits counts.
const BEGINNINGS: [(&str, &str); 15] = [
    (
        "shared_image_embedding.positional_embedding",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (
        "prompt_encoder.shared_embedding.positional_embedding",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    ("prompt_encoder.mask_embed.conv1.", "prompt_encoder.mask_downscaling.0."),
    (
        "prompt_encoder.mask_embed.layer_norm1.",
        "prompt_encoder.mask_downscaling.1.",
    ),
    ("prompt_encoder.mask_embed.conv2.", "prompt_encoder.mask_downscaling.3."),
    (
        "prompt_encoder.mask_embed.layer_norm2.",
        "prompt_encoder.mask_downscaling.4.",
    ),
    ("prompt_encoder.mask_embed.conv3.", "prompt_encoder.mask_downscaling.6."),
    ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
    ("mask_decoder.upscale_conv1.", "mask_decoder.output_upscaling.0."),
    ("mask_decoder.upscale_layer_norm.", "mask_decoder.output_upscaling.1."),
    ("mask_decoder.upscale_conv2.", "mask_decoder.output_upscaling.3."),
    (
        "vision_encoder.patch_embed.projection.",
        "image_encoder.patch_embed.proj.",
    ),
    ("vision_encoder.layers.", "image_encoder.blocks."),
    ("vision_encoder.neck.", "image_encoder.neck."),
    ("vision_encoder.", "image_encoder."),
];

/// The authors' name for a tensor of Hugging Face's file; their own names stay.
fn original(name: &str) -> String {
    let begun = BEGINNINGS
        .iter()
        .find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
    let name = begun.unwrap_or_else(|| name.to_string());
    let mlp = name.contains("_hypernetworks_mlps.") || name.contains(".iou_prediction_head.");
    let changes: &[(&str, &str)] = match name.as_str() {
        n if n.starts_with("image_encoder.neck.") => &[
            ("neck.conv1.", "neck.0."),
            ("neck.layer_norm1.", "neck.1."),
            ("neck.conv2.", "neck.2."),
            ("neck.layer_norm2.", "neck.3."),
        ],
        // three layers in a row: the first and the last have names of their own there
        _ if mlp && name.contains(".proj_in.") => &[(".proj_in.", ".layers.0.")],
        _ if mlp && name.contains(".proj_out.") => &[(".proj_out.", ".layers.2.")],
        _ if mlp => &[(".layers.0.", ".layers.1.")],
        _ => &[
            (".layer_norm_final_attn.", ".norm_final_attn."),
            (".layer_norm", ".norm"),
        ],
    };
    changes
        .iter()
        .fold(name, |name, (theirs, ours)| name.replace(theirs, ours))
}

/// The tensors of a file under the authors' names.
pub(super) fn originals(tensors: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    match tensors.keys().any(|name| name.starts_with("vision_encoder.")) {
        true => tensors.into_iter().map(|(name, t)| (original(&name), t)).collect(),
        false => tensors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_authors() {
        for (theirs, ours) in [
            ("vision_encoder.pos_embed", "image_encoder.pos_embed"),
            (
                "vision_encoder.layers.3.layer_norm1.weight",
                "image_encoder.blocks.3.norm1.weight",
            ),
            (
                "vision_encoder.layers.3.mlp.lin2.bias",
                "image_encoder.blocks.3.mlp.lin2.bias",
            ),
            ("vision_encoder.neck.layer_norm2.bias", "image_encoder.neck.3.bias"),
            (
                "mask_decoder.transformer.layers.0.layer_norm4.bias",
                "mask_decoder.transformer.layers.0.norm4.bias",
            ),
            (
                "mask_decoder.transformer.layer_norm_final_attn.weight",
                "mask_decoder.transformer.norm_final_attn.weight",
            ),
            (
                "mask_decoder.iou_prediction_head.layers.0.bias",
                "mask_decoder.iou_prediction_head.layers.1.bias",
            ),
            (
                "mask_decoder.output_hypernetworks_mlps.2.proj_out.bias",
                "mask_decoder.output_hypernetworks_mlps.2.layers.2.bias",
            ),
            (
                "mask_decoder.transformer.layers.1.self_attn.q_proj.bias",
                "mask_decoder.transformer.layers.1.self_attn.q_proj.bias",
            ),
        ] {
            assert_eq!(original(theirs), ours);
        }
    }
}
