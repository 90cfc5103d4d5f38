//! What the seal calls when an add-on opens or closes.

use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use super::keeper::TenantKeeper;
use super::open::{OpenTenant, first_mounts, write_mounts};
use crate::auth::token::entry::{LifetimeLimits, TokenEntry};
use crate::auth::token::{id, tree};
use crate::barrier::{Domain, Rows, Unsealed, View};
use crate::clock::Clock;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::seal::{Gate, Publish};
use crate::secret::Secret;
use crate::store::Store;
use crate::store::key::{Part, Scope, Table};
use crate::wiping;

/// An open add-on with the actor that changes it. What is published through [`TenantGate`]: present while unsealed.
pub struct Opened {
    /// What requests read.
    pub tenant: Arc<OpenTenant>,
    /// What changes mounts, policies and tokens, one at a time.
    pub keeper: Addr<TenantKeeper>,
}

/// Opens and closes one add-on on this node.
pub struct TenantGate {
    /// Where the open add-on is published.
    pub opened: Arc<ArcSwapOption<Opened>>,
    /// The store below.
    pub store: Arc<dyn Store>,
    /// The add-on's tag.
    pub tag: [u8; 8],
    /// How long its tokens live.
    pub limits: LifetimeLimits,
    /// Where its actors run.
    pub keepers: ArbiterHandle,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

#[async_trait(?Send)]
impl Gate for TenantGate {
    async fn open(&self, unsealed: Unsealed) -> Result<Publish, Error> {
        let scope = Scope::Tenant(unsealed.tenant());
        let view = View::new(Arc::clone(&self.store), Arc::new(unsealed), scope);
        let tenant = OpenTenant::load(view, self.tag, self.limits, self.keepers.clone()).await?;
        let tenant = Arc::new(tenant);
        let keeper = TenantKeeper::new(&tenant, Arc::clone(&self.clock));
        let keeper = TenantKeeper::start_in_arbiter(&self.keepers, |_| keeper);
        let (shown, opened) = (Arc::clone(&self.opened), Opened { tenant, keeper });
        Ok(Box::new(move || shown.store(Some(Arc::new(opened)))))
    }

    async fn found(&self, rows: &mut Rows<'_>) -> Result<Secret<String>, Error> {
        write_mounts(rows, &first_mounts(&OsRandom))?;
        let token = self.draw_token();
        self.add_root_token(rows, &token).await?;
        Ok(token)
    }

    fn draw_token(&self) -> Secret<String> {
        id::generate(&OsRandom, self.tag)
    }

    async fn add_root_token(
        &self,
        rows: &mut Rows<'_>,
        token: &Secret<String>,
    ) -> Result<(), Error> {
        let pseudonym = rows.pseudonym(Domain::Token, token.expose().as_bytes());
        if rows
            .get(Table::Token, &[Part::Name(pseudonym)])
            .await?
            .is_some()
        {
            return Ok(());
        }
        let entry = TokenEntry::root(id::generate_accessor(&OsRandom), self.clock.now());
        tree::insert(rows, pseudonym, &entry)
    }

    fn close(&self) {
        self.opened.store(None);
        wiping::note_seal();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::Arbiter;

    use super::*;
    use crate::barrier::testing::addon;
    use crate::clock::{SystemClock, Timestamp};
    use crate::engines::{Call, Verb};
    use crate::fields::Fields;
    use crate::tenant::keeper::{Change, apply};

    const LIMITS: LifetimeLimits = LifetimeLimits {
        default_ttl_s: 100,
        max_ttl_s: 100,
    };

    fn gate(store: Arc<dyn Store>) -> TenantGate {
        TenantGate {
            opened: Arc::new(ArcSwapOption::empty()),
            store,
            tag: [7; 8],
            limits: LIMITS,
            keepers: Arbiter::current(),
            clock: Arc::new(SystemClock),
        }
    }

    #[actix::test]
    async fn closing_leaves_no_key_in_memory() {
        let (store, _, unsealed) = addon().await;
        let gate = gate(Arc::clone(&store));
        let scope = Scope::Tenant(unsealed.tenant());
        let view = View::new(store, Arc::new(unsealed), scope);
        view.run(async |rows| gate.found(rows).await.map(drop))
            .await
            .unwrap();
        let unsealed = Arc::clone(view.unsealed());
        drop(view);
        let unsealed = Arc::into_inner(unsealed).unwrap();
        let publish = gate.open(unsealed).await.unwrap();
        assert!(gate.opened.load().is_none(), "not before it is published");
        publish();
        let opened = gate.opened.load_full().unwrap();
        let keys = Arc::downgrade(opened.tenant.view().unsealed());
        // A transit key in a cache, and a change through the keeper: whatever may hold on to keys.
        let (mounted, path) = opened.tenant.route("transit/keys/k").unwrap();
        let fields = Fields::default();
        let call = Call {
            verb: Verb::Write,
            path,
            fields: &fields,
            content_type: None,
            token: None,
            now: Timestamp(0),
        };
        mounted.engine.handle(&call).await.unwrap();
        apply(&opened.keeper, Change::Disable("secret/".to_owned()))
            .await
            .unwrap();
        assert!(keys.upgrade().is_some());

        drop((opened, mounted));
        gate.close();
        for _ in 0..100 {
            if keys.upgrade().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} owners still hold the keys", keys.strong_count());
    }
}
