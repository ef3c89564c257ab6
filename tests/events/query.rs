//! What a subscription may ask for.

use crate::world::{Tenant, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

#[tokio::test]
async fn a_subscription_without_a_topic_is_refused() {
    let tenant = tenant().await;
    tenant.events(&[]).refused().await.expect_invalid_query("topic");
}

#[tokio::test]
async fn a_selector_that_selects_nothing_sensible_is_named() {
    let tenant = tenant().await;
    for bad in ["", "a*b", "*a", "**", "a**", "new\nline", "nul\0", &"x".repeat(2000)] {
        let answer = tenant.events(&["good", bad]).refused().await;
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.body);
        answer.expect_invalid_query("topic");
    }
}

#[tokio::test]
async fn a_hundred_selectors_are_taken_and_one_more_is_not() {
    let tenant = tenant().await;
    let topics: Vec<String> = (0..101).map(|number| format!("topic-{number}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    tenant.events(&topics[..100]).live().await;
    tenant.events(&topics).refused().await.expect_invalid_query("topic");
}

#[tokio::test]
async fn eight_kilobytes_of_selectors_and_grants_are_the_most() {
    let tenant = tenant().await;
    let long: Vec<String> = (0..90).map(|number| format!("{number:0>100}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    tenant.events(&long[..70]).live().await;
    tenant.events(&long).refused().await.expect_invalid_query("topic");
    let grants = tenant.token(&long[..40]);
    tenant.events(&long[..30]).token(grants.clone()).live().await;
    let both = tenant.events(&long[40..]).token(grants).refused().await;
    both.expect_invalid_query("topic");
}

#[tokio::test]
async fn a_parameter_with_another_value_than_it_knows_is_refused() {
    let tenant = tenant().await;
    for (name, value) in [("named", "perhaps"), ("heartbeat", "loud")] {
        let answer = tenant.events(&["posts"]).query(name, value).refused().await;
        answer.expect_invalid_query(name);
    }
}

#[tokio::test]
async fn parameters_of_others_are_left_alone() {
    let tenant = tenant().await;
    tenant.events(&["posts"]).query("utm_source", "mail").query("_", "17").live().await;
}
