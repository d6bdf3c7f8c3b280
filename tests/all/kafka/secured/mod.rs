//! Whoever is kept out is told by whom, why, and what lets him in.

mod connections;
mod outages;
mod permissions;
mod rig;
