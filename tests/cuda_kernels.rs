//! Every `.cu` file compiles by NVRTC for every element type and the compute capabilities of A100, H100 and B200. Needs no GPU, only
//! NVRTC (`pip install nvidia-cuda-nvrtc` in a virtual environment that `VIRTUAL_ENV` or `CUDA_PIP_DIR` names); skipped without.
//! Their arithmetic is tested beside each operation, in `src/ops/*/cuda.rs`, by an emulator.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::path::{Path, PathBuf};

use seglab::device::libraries;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The functions of NVRTC that are used here.
struct Nvrtc {
    create: unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int,
    log_size: unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int,
    log: unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int,
    code_size: unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int,
    destroy: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
}

fn open(path: &Path) -> Option<*mut c_void> {
    let path = CString::new(path.to_str()?).ok()?;
    let library = unsafe { dlopen(path.as_ptr(), 2 | 0x100) };
    (!library.is_null()).then_some(library)
}

impl Nvrtc {
    fn load() -> Option<Self> {
        let folders = libraries::folders();
        let names = libraries::NEEDED.iter().find(|(title, _)| *title == "NVRTC").unwrap().1;
        let library = names.iter().find_map(|name| {
            let found = libraries::find(name, &folders);
            if let Some(folder) = found.as_ref().and_then(|path| path.parent()) {
                for builtins in libraries::children(folder, "libnvrtc-builtins.so") {
                    open(&builtins);
                }
            }
            open(Path::new(name)).or_else(|| open(&found?))
        })?;
        // SAFETY: the signatures are those of nvrtc.h.
        unsafe fn symbol<F>(library: *mut c_void, name: &str) -> F {
            let name = CString::new(name).unwrap();
            let found = unsafe { dlsym(library, name.as_ptr()) };
            assert!(!found.is_null(), "NVRTC has no {name:?}");
            unsafe { std::mem::transmute_copy(&found) }
        }
        unsafe {
            Some(Nvrtc {
                create: symbol(library, "nvrtcCreateProgram"),
                compile: symbol(library, "nvrtcCompileProgram"),
                log_size: symbol(library, "nvrtcGetProgramLogSize"),
                log: symbol(library, "nvrtcGetProgramLog"),
                code_size: symbol(library, "nvrtcGetCUBINSize"),
                destroy: symbol(library, "nvrtcDestroyProgram"),
            })
        }
    }

    /// The log if the compilation fails or makes no code.
    fn compile(&self, text: &str, capability: u32, real: u32) -> Result<(), String> {
        let text = CString::new(text).unwrap();
        let options = [
            format!("--gpu-architecture=sm_{capability}"),
            "--std=c++17".into(),
            format!("-DREAL={real}"),
        ];
        let options: Vec<CString> = options.map(|o: String| CString::new(o).unwrap()).into();
        let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let mut program = std::ptr::null_mut();
        unsafe {
            let none = std::ptr::null();
            assert_eq!(
                (self.create)(&mut program, text.as_ptr(), std::ptr::null(), 0, none, none),
                0
            );
            let status = (self.compile)(program, pointers.len() as c_int, pointers.as_ptr());
            let mut size = 0;
            (self.log_size)(program, &mut size);
            let mut log = vec![0 as c_char; size + 1];
            (self.log)(program, log.as_mut_ptr());
            let log = CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned();
            let mut code = 0;
            (self.code_size)(program, &mut code);
            (self.destroy)(&mut program);
            if status == 0 && code > 0 {
                Ok(())
            } else {
                Err(format!("status {status}: {log}"))
            }
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "cu") {
            found.push(path);
        }
    }
}

#[test]
fn every_kernel_compiles_for_every_gpu() {
    let Some(nvrtc) = Nvrtc::load() else {
        // past the test harness, which keeps what a passing test prints to itself
        writeln!(std::io::stderr(), "skipped: NVRTC was not found").unwrap();
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let prelude = std::fs::read_to_string(root.join("kernel/cuda/prelude.cuh")).unwrap();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() >= 4, "{files:?}");
    let mut findings = Vec::new();
    for file in &files {
        let text = format!(
            "{prelude}\n#line 1 \"{}\"\n{}",
            file.display(),
            std::fs::read_to_string(file).unwrap()
        );
        assert!(
            text.contains("\nKERNEL "),
            "{} has no kernel at the start of a line",
            file.display()
        );
        for real in [16, 32, 64] {
            for capability in [80, 90, 100] {
                if let Err(log) = nvrtc.compile(&text, capability, real) {
                    findings.push(format!("sm_{capability}, REAL {real}: {log}"));
                }
            }
        }
    }
    let broken = nvrtc.compile("KERNEL x() {}", 90, 32);
    assert!(broken.is_err(), "the check cannot fail");
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
