//! The deployment itself: whether its stores respond.

pub mod health;
