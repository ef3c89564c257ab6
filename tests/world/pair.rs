//! A tenant on two isolates over one storage: what one changes, the other honours.

use std::fmt::Debug;

use super::{Tenant, TenantBuilder, World};

/// A tenant as it is reached through each of two isolates.
pub struct Pair {
    /// Through the isolate that makes the change.
    pub here: Tenant,
    /// Through the other one, which hears of it from nobody.
    pub there: Tenant,
}

impl World {
    /// A tenant that two isolates serve ([`World::pair`]), without a limit on its requests: where no permit is asked for, an
    /// isolate goes by what it remembers.
    pub async fn on_both(make: impl FnOnce(TenantBuilder) -> TenantBuilder) -> Pair {
        let (a, b) = World::pair().await;
        let unbounded =
            a.tenant().limit("max_api_requests_per_minute", -1).limit("max_anonymous_requests_per_minute", -1);
        let here = make(unbounded).create().await;
        let there = here.through(&b);
        Pair { here, there }
    }
}

impl Pair {
    /// A change that binds somebody is honoured at once by the isolate that did not make it: both are asked until they
    /// remember all there is to remember, one of them makes the change, and the very next request to the other one has the
    /// new answer.
    pub async fn binds<A: Debug + PartialEq>(
        &self,
        ask: impl AsyncFn(&Tenant) -> A,
        before: A,
        change: impl AsyncFnOnce(&Tenant),
        after: A,
    ) {
        for tenant in [&self.here, &self.there, &self.there] {
            assert_eq!(ask(tenant).await, before, "before the change");
        }
        change(&self.here).await;
        assert_eq!(ask(&self.there).await, after, "on the isolate that did not make the change");
        assert_eq!(ask(&self.here).await, after, "on the isolate that made it");
    }
}
