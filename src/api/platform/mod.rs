//! The deployment itself: whether its stores answer.

pub mod health;
