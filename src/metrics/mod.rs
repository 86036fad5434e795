//! Confusion matrix and what follows from it; embedding diagnostics.
