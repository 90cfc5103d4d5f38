//! Reading bodies within bounds: each request has a limit of its own, and all of them together have one.

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Error;

/// What is reserved at a time, in bytes. Most bodies are shorter, and reserve nothing.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many blocks all bodies together may hold: 512 MiB, sixteen requests of the default limit at once.
const BLOCKS: usize = 8192;

/// Room for the bodies of all requests under way.
pub struct BodyRoom(Semaphore);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Semaphore::new(BLOCKS))
    }
}

/// Reads the whole body, which must not be longer than `max_bytes`. The permit holds its room for as long as it lives.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Unavailable`] when other bodies take up all the room.
pub async fn read<'r>(
    mut payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max_bytes: usize,
    room: &'r BodyRoom,
) -> Result<(Bytes, Option<SemaphorePermit<'r>>), Error> {
    let mut body = BytesMut::new();
    let mut held: Option<SemaphorePermit<'r>> = None;
    let mut held_bytes = BLOCK_BYTES;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::bad_request("the body could not be read"))?;
        let bytes = body.len() + chunk.len();
        if bytes > max_bytes {
            return Err(Error::TooLarge);
        }
        while bytes > held_bytes {
            let more = room
                .0
                .try_acquire()
                .map_err(|_| Error::Unavailable("too many large requests, try again".into()))?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            held_bytes += BLOCK_BYTES;
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), held))
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::test::TestRequest;
    use actix_web::web::Payload;

    use super::*;

    async fn read_bytes(bytes: usize, max_bytes: usize, room: &BodyRoom) -> Result<usize, Error> {
        let (request, mut payload) = TestRequest::post()
            .set_payload(vec![1; bytes])
            .to_http_parts();
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        read(payload, max_bytes, room)
            .await
            .map(|(body, _)| body.len())
    }

    #[actix::test]
    async fn each_body_is_bounded() {
        let room = BodyRoom::default();
        assert_eq!(read_bytes(100, 100, &room).await.unwrap(), 100);
        assert!(matches!(
            read_bytes(101, 100, &room).await,
            Err(Error::TooLarge)
        ));
    }

    #[actix::test]
    async fn all_bodies_together_are_bounded() {
        let room = BodyRoom(Semaphore::new(1));
        let two_blocks = 2 * BLOCK_BYTES;
        assert_eq!(
            read_bytes(two_blocks, usize::MAX, &room).await.unwrap(),
            two_blocks
        );
        let taken = room.0.try_acquire().unwrap();
        let refused = read_bytes(two_blocks, usize::MAX, &room).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));
        assert_eq!(
            read_bytes(BLOCK_BYTES, usize::MAX, &room).await.unwrap(),
            BLOCK_BYTES
        );
        drop(taken);
        assert_eq!(
            read_bytes(two_blocks, usize::MAX, &room).await.unwrap(),
            two_blocks
        );
    }
}
