//! Figures: plain data in, figure file out.
