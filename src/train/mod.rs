//! Configuration, optimisers, schedules, the loop with its events, evaluation, run folder.
