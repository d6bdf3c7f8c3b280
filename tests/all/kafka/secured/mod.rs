//! Whoever is kept out is told by whom, why, and what lets him in; who is let in gets his matches.

mod connections;
mod outages;
mod permissions;
mod rig;
