//! A store that may not know whether it committed, as FoundationDB may not.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::barrier::View;
use crate::store::contract::doubt::{Doubtful, Fate};

async fn doubtful() -> (Bench<KvEngine>, Arc<Doubtful>) {
    let view = mount_view().await;
    let store = Arc::new(Doubtful::new(Arc::clone(view.store())));
    let view = View::new(store.clone(), Arc::clone(view.unsealed()), view.scope());
    let kv = Bench::of(KvEngine::new(view, &BTreeMap::new()).unwrap());
    (kv, store)
}

#[actix::test]
async fn nothing_is_done_twice_or_wrongly_refused() {
    use Fate::{Conflict, DoneInDoubt, LostInDoubt};
    for fates in [
        &[DoneInDoubt][..],
        &[LostInDoubt],
        &[DoneInDoubt, DoneInDoubt],
        &[LostInDoubt, DoneInDoubt, Conflict],
    ] {
        let (kv, store) = doubtful().await;
        let write = async |path, body| {
            store.plan(fates);
            kv.write(path, body).await.unwrap()
        };

        let written = write("data/a", r#"{"data":{"v":1}}"#).await;
        assert_eq!(written["version"], 1);
        let written = write("data/a", r#"{"data":{"v":2},"options":{"cas":1}}"#).await;
        assert_eq!(written["version"], 2, "its own commit is no mismatch");
        store.plan(fates);
        let written = kv.patch("data/a", r#"{"data":{"p":1}}"#).await.unwrap();
        assert_eq!(written["version"], 3);
        store.plan(fates);
        kv.delete("data/a").await.unwrap();
        assert_eq!(*value(&kv.read("data/a").await), json!({"v":2}));
        write("metadata/a", r#"{"metadata_cas":0,"max_versions":5}"#).await;
        let metadata = kv.read("metadata/a").await.unwrap();
        assert_eq!(metadata["current_metadata_version"], 1);
        assert_eq!(metadata["current_version"], 3);
    }
}
