//! `motif run` on files and standard streams: what comes out, whatever is stopped, killed, shortened or appended in between.
//!
//! `MOTIF_TEST_SEED=7` repeats the laws with one seed; `MOTIF_TEST_KILLS` says how often each of them kills.

mod cold_keys;
mod ends;
mod kills;
pub mod made_up;
mod real_logs;
mod refusals;
mod reread;
mod streams;
