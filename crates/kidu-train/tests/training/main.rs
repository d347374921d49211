//! Training as a whole: against PyTorch's numbers, and against itself after interruptions.

mod behaviour;
mod goldens;
mod resume;
mod tiny;
