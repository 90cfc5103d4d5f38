//! `conclave/cluster`: the cluster and its tunnels as this node sees them, for the operator.

use conclave_wg::transport::Transport as _;

use super::operator;
use super::request::Request;
use super::respond::Answer;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::membership::Status;
use crate::node::Node;

/// The route `conclave/cluster`.
///
/// # Errors
/// [`Error::Denied`] for everybody but the operator, and [`Error::NotFound`] when there is no cluster.
pub fn status(node: &Node, request: &Request) -> Result<Answer, Error> {
    operator::authenticate(node, request)?;
    if request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    let (Some(cluster), Some(tunnels)) = (&node.cluster, &node.tunnels) else {
        let message = "this node is alone: its configuration has no cluster {}";
        return Err(Error::NotFound(Some(message.into())));
    };
    let status = Status::new(&cluster.view(), &tunnels.stats());
    Reply::data(&status).map(Answer::Enveloped)
}
