//! The cluster and the tunnels as Prometheus metrics.

use conclave_cluster::{Counters, View};
use conclave_wg::transport::TransportStats;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::error::Error;

/// What a node tells about its cluster: peers up, round trips, clocks, packets, and what was dropped and why. Made anew
/// for each scrape, so a peer that is off the roster is gone from it. Labels are names of the roster and fixed reasons.
///
/// # Errors
/// [`Error::Bug`] when the library refuses a name.
pub fn cluster_metrics(view: &View, stats: &TransportStats) -> Result<Vec<MetricFamily>, Error> {
    let registry = Registry::new();
    let families = Families(&registry);
    nodes(&families, view)
        .and_then(|()| packets(&families, &view.counters))
        .and_then(|()| tunnels(&families, stats))
        .map_err(|error| Error::Bug(format!("metrics: {error}")))?;
    Ok(registry.gather())
}

/// Makes families that are gathered together.
struct Families<'r>(&'r Registry);

impl Families<'_> {
    fn flags(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn number(&self, name: &str, help: &str, value: usize) -> prometheus::Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(Box::new(gauge))
    }
}

fn nodes(families: &Families<'_>, view: &View) -> prometheus::Result<()> {
    families.number(
        "conclave_cluster_nodes",
        "Nodes in the roster of this node, itself among them.",
        view.peers.len() + 1,
    )?;
    families.number(
        "conclave_cluster_facts",
        "Facts that this node holds.",
        view.facts,
    )?;
    let up = families.flags(
        "conclave_cluster_peer_up",
        "1 while this node and the peer reach each other.",
        "peer",
    )?;
    let round_trip = families.gauges(
        "conclave_cluster_peer_round_trip_seconds",
        "Seconds to the peer and back, at best.",
        "peer",
    )?;
    let ahead = families.gauges(
        "conclave_cluster_peer_clock_ahead_seconds",
        "Seconds that the peer's wall clock is ahead of this node's.",
        "peer",
    )?;
    let skewed = families.flags(
        "conclave_cluster_peer_clock_skewed",
        "1 while the two clocks differ by more than half a second.",
        "peer",
    )?;
    let differs = families.flags(
        "conclave_cluster_peer_roster_differs",
        "1 while the peer's roster has other nodes or keys than this node's.",
        "peer",
    )?;
    for peer in &view.peers {
        let label = [peer.member.name.as_str()];
        up.with_label_values(&label).set(peer.up.into());
        skewed
            .with_label_values(&label)
            .set(peer.clock_skewed.into());
        differs
            .with_label_values(&label)
            .set(peer.roster_differs.into());
        if let Some(time) = peer.round_trip {
            round_trip.with_label_values(&label).set(time.as_secs_f64());
        }
        if let Some(nanoseconds) = peer.ahead_ns {
            ahead
                .with_label_values(&label)
                .set(nanoseconds as f64 / 1e9);
        }
    }
    Ok(())
}

fn packets(families: &Families<'_>, counters: &Counters) -> prometheus::Result<()> {
    let packets = families.counters(
        "conclave_cluster_packets_total",
        "Packets of the cluster's protocol.",
        "direction",
    )?;
    let dropped = families.counters(
        "conclave_cluster_dropped_total",
        "What was not sent or not taken in, by reason.",
        "reason",
    )?;
    let events = families.counters(
        "conclave_cluster_events_total",
        "Peers lost, questions unanswered in time, and facts asked for.",
        "event",
    )?;
    for (family, label, count) in [
        (&packets, "sent", counters.sent),
        (&packets, "received", counters.received),
        (&dropped, "unsent", counters.unsent),
        (&dropped, "news_missed", counters.news_missed),
        (&dropped, "stranger", counters.from_strangers),
        (&dropped, "other_cluster", counters.from_other_clusters),
        (&dropped, "unknown_version", counters.of_unknown_version),
        (&dropped, "malformed", counters.malformed),
        (&dropped, "flood", counters.flooded),
        (&dropped, "stale", counters.stale),
        (&dropped, "fact_refused", counters.facts_refused),
        (&dropped, "hint_refused", counters.hints_refused),
        (&dropped, "request_refused", counters.requests_refused),
        (&events, "peer_lost", counters.peers_lost),
        (&events, "timed_out", counters.timed_out),
        (&events, "pull", counters.pulls),
    ] {
        family.with_label_values(&[label]).inc_by(count);
    }
    Ok(())
}

fn tunnels(families: &Families<'_>, stats: &TransportStats) -> prometheus::Result<()> {
    let up = families.flags(
        "conclave_wireguard_peer_up",
        "1 while there is a session with the peer.",
        "peer",
    )?;
    let age = families.gauges(
        "conclave_wireguard_handshake_age_seconds",
        "Seconds since the last handshake with the peer.",
        "peer",
    )?;
    let sent = families.counters(
        "conclave_wireguard_sent_bytes_total",
        "Bytes sent to the peer, without WireGuard's own.",
        "peer",
    )?;
    let received = families.counters(
        "conclave_wireguard_received_bytes_total",
        "Bytes received from the peer, without WireGuard's own.",
        "peer",
    )?;
    for peer in &stats.peers {
        let label = [peer.name.as_str()];
        up.with_label_values(&label).set(peer.up.into());
        sent.with_label_values(&label).inc_by(peer.sent_bytes);
        received
            .with_label_values(&label)
            .inc_by(peer.received_bytes);
        if let Some(time) = peer.handshake_age {
            age.with_label_values(&label).set(time.as_secs_f64());
        }
    }
    let dropped = families.counters(
        "conclave_wireguard_dropped_total",
        "Datagrams, packets and messages that went nowhere, by reason.",
        "reason",
    )?;
    for (reason, count) in stats.drops.iter() {
        dropped.with_label_values(&[reason.as_str()]).inc_by(count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use conclave_cluster::{BootId, Cluster, ClusterId, Member, Moment, Roster, Settings};
    use conclave_wg::key::PublicKey;
    use conclave_wg::transport::PeerStats;
    use prometheus::TextEncoder;

    use super::*;
    use crate::membership::{About, Status};

    fn member(number: u8) -> Member {
        Member {
            name: format!("n{number}").parse().unwrap(),
            public_key: PublicKey::from_bytes([number; 32]),
            endpoint: None,
            address: IpAddr::from([10, 90, 0, number]),
        }
    }

    fn view() -> View {
        let me = "n1".parse().unwrap();
        let roster = Roster::new(ClusterId([7; 16]), &me, vec![member(1), member(2)]).unwrap();
        let cluster = Cluster::new(roster, Settings::default(), BootId(1), Moment::default());
        let mut view = cluster.view(Duration::ZERO);
        let about = About {
            version: "1.2.3".into(),
            api_addr: "https://n2.example.org:8200".into(),
            initialized: 4,
            unsealed: 3,
        };
        let peer = &mut view.peers[0];
        peer.up = true;
        peer.about = about.encode();
        peer.round_trip = Some(Duration::from_millis(2));
        peer.ahead_ns = Some(-600_000_000);
        peer.clock_skewed = true;
        view.counters.malformed = 4;
        view.counters.peers_lost = 1;
        view
    }

    fn stats() -> TransportStats {
        TransportStats {
            peers: vec![PeerStats {
                name: "n2".parse().unwrap(),
                public_key: PublicKey::from_bytes([2; 32]),
                address: IpAddr::from([10, 90, 0, 2]),
                endpoint: Some("192.0.2.2:51820".parse().unwrap()),
                up: true,
                handshake_age: Some(Duration::from_secs(90)),
                heard_age: Some(Duration::from_secs(1)),
                sent_bytes: 1000,
                received_bytes: 2000,
            }],
            ..TransportStats::default()
        }
    }

    #[test]
    fn a_scrape_tells_how_peers_and_packets_do() {
        let families = cluster_metrics(&view(), &stats()).unwrap();
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        for line in [
            "conclave_cluster_nodes 2",
            r#"conclave_cluster_peer_up{peer="n2"} 1"#,
            r#"conclave_cluster_peer_round_trip_seconds{peer="n2"} 0.002"#,
            r#"conclave_cluster_peer_clock_ahead_seconds{peer="n2"} -0.6"#,
            r#"conclave_cluster_peer_clock_skewed{peer="n2"} 1"#,
            r#"conclave_cluster_peer_roster_differs{peer="n2"} 0"#,
            r#"conclave_cluster_dropped_total{reason="malformed"} 4"#,
            r#"conclave_cluster_dropped_total{reason="stranger"} 0"#,
            r#"conclave_cluster_events_total{event="peer_lost"} 1"#,
            r#"conclave_wireguard_peer_up{peer="n2"} 1"#,
            r#"conclave_wireguard_handshake_age_seconds{peer="n2"} 90"#,
            r#"conclave_wireguard_sent_bytes_total{peer="n2"} 1000"#,
            r#"conclave_wireguard_dropped_total{reason="unknown_peer"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_status_shows_all_nodes_and_reads_back() {
        let status = Status::new(&view(), &stats());
        assert_eq!(status.cluster_id, "07070707-0707-0707-0707-070707070707");
        let [me, peer] = status.members.as_slice() else {
            panic!("{status:?}");
        };
        assert_eq!(
            (me.name.as_str(), me.up, me.round_trip_ms),
            ("n1", true, None)
        );
        assert_eq!((peer.name.as_str(), peer.version.as_str()), ("n2", "1.2.3"));
        assert_eq!((peer.unsealed, peer.initialized), (3, 4));
        assert_eq!(peer.clock_ahead_ms, Some(-600.0));
        assert_eq!(status.tunnels[0].handshake_age_s, Some(90));
        assert!(status.dropped.is_empty());
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
