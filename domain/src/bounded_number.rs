//! Whole numbers that a tenant sets within a range.

/// A whole number that a tenant sets: its default, and the range that it may choose from.
#[derive(Debug, Clone, Copy)]
pub struct Bounded {
    /// Its name in settings.
    pub name: &'static str,
    /// Its value where the tenant sets none.
    pub default: u32,
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
}
