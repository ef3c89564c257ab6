//! The isolation matrix, generated from the route table: every door × every credential × every
//! place where a request can name somebody else's tenant.
//!
//! A is the attacker, B the victim, N a tenant that never was. For each cell
//! - the answer about B is the answer about N, once names and instants are masked;
//! - nothing of B's stands in any answer or stream;
//! - B is afterwards as it was before;
//! - the control, the same request with the right credential and nothing contradicting it,
//!   succeeds: otherwise the cell would prove nothing.
//!
//! Which hosts exist is public. So where B is named by its host, A's credential is compared with
//! that of a stranger instead: it must be worth no more.

mod cell;
mod credentials;
mod fixture;
mod injection;
mod people;
mod row;

use carillon::routes::{self, Surface};
use futures_util::future::join_all;
use serde_json::json;

use crate::world::World;
use cell::{Cell, Channel, Credential};
use fixture::Fixture;
use row::{Right, RouteUnderTest, Row};

#[tokio::test]
async fn every_route_has_a_row() {
    let missing: Vec<String> = row::doors()
        .iter()
        .filter(|door| Row::of(door).is_none())
        .map(|door| format!("{} {}", door.method, door.pattern))
        .collect();
    assert!(missing.is_empty(), "routes without a row in the isolation matrix: {missing:#?}");
    assert!(row::doors().len() >= routes::all().count());
}

#[tokio::test]
async fn no_cell_of_the_matrix_leads_from_one_tenant_to_another() {
    let world = World::shared().await;
    let victim = Fixture::real(&world).await;
    // Whoever subscribes on its host would be told of by an event of its own.
    victim.tenant.patch(json!({"settings": {"mercure": {"subscriptions": false}}})).await;
    let nobody = Fixture::never(&world, &victim);
    let stranger = Fixture::real(&world).await;
    let reader = Fixture::real(&world).await;
    let mut failures = Vec::new();
    for door in row::doors() {
        let Some(row) = Row::of(&door) else { continue };
        // What a door does to its own tenant is not found again behind the next one.
        let attacker = if door.only_reads() { reader.clone() } else { Fixture::real(&world).await };
        let before = victim.fingerprint().await;
        let mut cells = Vec::new();
        for credential in Credential::ALL.into_iter().filter(|credential| credential.applies(&door, &row)) {
            for channel in Channel::ALL.into_iter().filter(|channel| channel.applies(&door, &row)) {
                if !legitimate(&door, &row, credential, channel) {
                    cells.push(Cell { door: &door, row: &row, credential, channel });
                }
            }
        }
        let found = join_all(cells.iter().map(|cell| cell.judge(&attacker, &victim, &nobody, &stranger))).await;
        failures.extend(found.into_iter().flatten());
        if !door.only_reads() {
            attacker.people.leave(&world).await;
        }
        let after = victim.fingerprint().await;
        if before != after {
            failures.push(format!("{door}: B was {before} and is {after}"));
        }
    }
    assert!(failures.is_empty(), "{} cells fail:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn every_cell_has_a_positive_control() {
    let world = World::shared().await;
    let reader = Fixture::real(&world).await;
    let mut failures = Vec::new();
    for door in row::doors() {
        let Some(row) = Row::of(&door) else { continue };
        let channels = Channel::ALL.into_iter().filter(|channel| channel.applies(&door, &row));
        let reader = door.only_reads().then_some(&reader);
        let controls = channels.map(|channel| cell::control(&world, &door, &row, channel, reader));
        failures.extend(join_all(controls).await.into_iter().flatten());
    }
    assert!(failures.is_empty(), "{} controls fail:\n{}", failures.len(), failures.join("\n"));
}

/// A platform key that names a tenant without contradiction is doing its work: that is a control.
fn legitimate(door: &RouteUnderTest, row: &Row, credential: Credential, channel: Channel) -> bool {
    let selected = match row.right {
        Right::Platform => matches!(channel, Channel::Path | Channel::Everywhere | Channel::Body),
        Right::Member if door.names_a_tenant() => {
            matches!(channel, Channel::Host | Channel::Path | Channel::Everywhere)
        }
        Right::Member if door.surface == Surface::Platform => {
            matches!(channel, Channel::Host | Channel::Header | Channel::Query | Channel::Everywhere)
        }
        Right::Member => channel == Channel::Host,
        Right::Operator => matches!(channel, Channel::Body | Channel::Everywhere),
        // What everybody is told on the platform's host, a tenant's host may tell its members more of.
        Right::Anybody => door.surface == Surface::Platform && channel == Channel::Host,
        _ => false,
    };
    match credential {
        Credential::Platform => selected && row.right != Right::Operator,
        Credential::Operator => selected && row.right != Right::Member,
        _ => false,
    }
}

impl std::fmt::Display for RouteUnderTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.pattern, self.surface)
    }
}
