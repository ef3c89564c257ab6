//! An operator who showed no key.

use carillon::auth::principal::Operator;

fn main() {
    let _ = Operator(());
    let _ = Operator { 0: () };
}
