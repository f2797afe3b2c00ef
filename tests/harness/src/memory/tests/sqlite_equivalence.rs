//! Any sequence of operations has the same results on the store in memory and on SQLite.

use proptest::prelude::*;
use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{
    CLOCK_TOLERANCE, Check, DueWakeup, KindFilter, Lease, Quarantine, ResealAction, SortOrder,
    WakeupSettlement,
};
use relation_host::transactions::{Level, LogLine, TransactionOutcome, TransactionPart};
use relation_host::types::{Key, RECORD_MODEL, Scope, Wakeup};

use super::*;

const MODELS: [&str; 2] = [RECORD_MODEL, "data/B"];
const NODES: [&str; 5] = ["sys", "sys.A", "sys.A.B", "sys.AB", "sys.C"];
const IDS: [&str; 3] = ["refresh", "refresh.users", "expiry"];

/// An operation on both stores. Small numbers make collisions likely.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        fence: Option<usize>,
        checks: Vec<Check>,
        changes: Vec<Change>,
        transaction_update: Option<u8>,
        older_keys: bool,
    },
    Begin {
        transaction: u8,
        subject: Option<Reference>,
        /// Whether the operation settles the wakeup that is due first.
        settling: bool,
    },
    End {
        transaction: u8,
        lease: Option<usize>,
        retry: bool,
        interrupted: bool,
    },
    Report(u8, bool),
    Prune {
        success: u64,
        failure: u64,
        limit: u32,
    },
    Advance(u64),
    Recover,
    Redate,
    AddKey(u32, bool),
    RetireKey(u32, bool),
    Reseal(usize, u8),
    List(Filter, SortOrder, u32),
    ListWakeups(Option<Hierarchy>, u32, Option<usize>),
}

fn any_reference() -> impl Strategy<Value = Reference> {
    (0..2_usize, 0..4_u64).prop_map(|(model, number)| {
        Reference::new(MODELS[model], format!("{number:024x}").parse().unwrap())
    })
}

fn any_node() -> impl Strategy<Value = Hierarchy> {
    (0..NODES.len()).prop_map(|node| NODES[node].parse().unwrap())
}

fn any_keys() -> impl Strategy<Value = Vec<Key>> {
    let key = |name: &str, value: u8| Key {
        name: name.to_owned(),
        value: value.to_string(),
    };
    (prop::option::of(0..2_u8), prop::option::of(0..3_u8)).prop_map(move |(a, b)| {
        let both = [a.map(|a| key("name", a)), b.map(|b| key("b", b))];
        both.into_iter().flatten().collect()
    })
}

prop_compose! {
    fn any_filter()(
        model in 0..2_usize,
        hierarchy in prop::option::of((any_node(), any::<bool>())),
        equals in any_keys(),
    ) -> Filter {
        let scope = |deep| if deep { Scope::Subtree } else { Scope::Node };
        Filter {
            model: MODELS[model].to_owned(),
            hierarchy: hierarchy.map(|(node, deep)| (node, scope(deep))),
            equals,
        }
    }
}

fn any_order() -> impl Strategy<Value = SortOrder> {
    (any::<bool>(), any::<bool>()).prop_map(|(by_name, descending)| SortOrder {
        key: by_name.then(|| "name".to_owned()),
        descending,
    })
}

prop_compose! {
    fn any_wakeup()(
        subject in any_reference(),
        id in 0..IDS.len(),
        due in 0..50_u64,
        deadline in prop::option::of(0..5_u64),
    ) -> Wakeup {
        Wakeup {
            id: IDS[id].to_owned(),
            subject,
            due: Timestamp(due),
            deadline: deadline.map(Timestamp),
            payload: String::new(),
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    let document = (any_reference(), any_node(), any_keys(), 0..20_u8);
    let name = prop::sample::select(vec!["token", "secret"]);
    prop_oneof![
        6 => document.prop_map(|(reference, hierarchy, keys, body)| Change::Put(Document {
            reference,
            hierarchy,
            version: 0,
            body: if body == 0 { "[]".to_owned() } else { format!("{{\"n\":{body}}}") },
            keys,
        })),
        2 => any_reference().prop_map(Change::Delete),
        2 => (any_reference(), name.clone(), 1..3_u32, any::<u8>()).prop_map(
            |(owner, name, key, filling)| Change::PutSecret {
                owner,
                name: name.to_owned(),
                sealed: sealed(key, filling),
            }
        ),
        1 => (any_reference(), name).prop_map(|(owner, name)| {
            Change::RemoveSecret(owner, name.to_owned())
        }),
        3 => any_wakeup().prop_map(Change::Schedule),
        1 => any_wakeup().prop_map(|wakeup| Change::Cancel(wakeup.subject, wakeup.id)),
    ]
}

fn any_check() -> impl Strategy<Value = Check> {
    prop_oneof![
        (any_reference(), 0..3_u64).prop_map(|(which, version)| Check::Version(which, version)),
        any_reference().prop_map(Check::Absent),
        (any_filter(), prop::option::of(any_reference()))
            .prop_map(|(filter, except)| Check::Unique(filter, except)),
    ]
}

prop_compose! {
    fn any_commit()(
        fence in prop::option::weighted(0.3, 0..4_usize),
        checks in prop::collection::vec(any_check(), 0..2),
        changes in prop::collection::vec(any_change(), 0..5),
        transaction_update in prop::option::weighted(0.3, 0..6_u8),
        older_keys in any::<bool>(),
    ) -> Step {
        Step::Commit { fence, checks, changes, transaction_update, older_keys }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let begin = (0..6_u8, prop::option::of(any_reference()), any::<bool>());
    let end = (
        0..6_u8,
        prop::option::of(0..4_usize),
        any::<bool>(),
        any::<bool>(),
    );
    let look = (
        prop::option::of(any_node()),
        1..5_u32,
        prop::option::of(0..IDS.len()),
    );
    prop_oneof![
        8 => any_commit(),
        3 => begin.prop_map(|(transaction, subject, settling)| Step::Begin {
            transaction,
            subject,
            settling,
        }),
        2 => end.prop_map(|(transaction, lease, retry, interrupted)| Step::End {
            transaction,
            lease,
            retry,
            interrupted,
        }),
        1 => (0..30_u64, 0..30_u64, 1..4_u32).prop_map(|(success, failure, limit)| {
            Step::Prune { success, failure, limit }
        }),
        1 => (0..6_u8, any::<bool>()).prop_map(|(id, last)| Step::Report(id, last)),
        1 => (1..40_u64).prop_map(Step::Advance),
        1 => Just(Step::Recover),
        1 => Just(Step::Redate),
        1 => (1..3_u32, any::<bool>()).prop_map(|(id, same)| Step::AddKey(id, same)),
        1 => (1..3_u32, any::<bool>()).prop_map(|(id, despite_quarantined)| Step::RetireKey(id, despite_quarantined)),
        1 => (0..3_usize, any::<u8>()).prop_map(|(which, how)| Step::Reseal(which, how)),
        2 => (any_filter(), any_order(), 1..4_u32).prop_map(|(filter, order, limit)| {
            Step::List(filter, order, limit)
        }),
        2 => look.prop_map(|(node, limit, without)| Step::ListWakeups(node, limit, without)),
    ]
}

fn sealed(key: u32, filling: u8) -> Sealed {
    let mut bytes = Sealed::key_prefix(key).to_vec();
    bytes.resize(64, filling);
    Sealed::try_from(bytes).unwrap()
}

/// A store, and the results that later operations refer to.
struct StoreUnderTest<'a> {
    store: &'a dyn Store,
    now: u64,
    leases: Vec<Lease>,
    settling: Option<DueWakeup>,
}

impl StoreUnderTest<'_> {
    /// Applies an operation and returns its result as text.
    async fn apply(&mut self, step: &Step) -> String {
        let now = Timestamp(self.now);
        let store = self.store;
        match step.clone() {
            Step::Commit {
                fence,
                checks,
                changes,
                transaction_update,
                older_keys,
            } => {
                let commit = Commit {
                    fence: fence.and_then(|lease| self.leases.get(lease).cloned()),
                    checks,
                    changes,
                    transaction: transaction_update.map(|id| update(id, false, now)),
                    queued: Vec::new(),
                    older_keys,
                    // Sometimes the clock is ahead.
                    now: if older_keys {
                        now.after(CLOCK_TOLERANCE * 2)
                    } else {
                        now
                    },
                };
                format!("{:?}", store.commit(commit).await)
            }
            Step::Begin {
                transaction,
                subject,
                settling,
            } => {
                let due = store.due(now, 1, KindFilter::All).await.unwrap();
                let wakeup = due.into_iter().next().filter(|_| settling);
                let of_wakeup = wakeup.as_ref().map(|found| found.wakeup.subject.clone());
                let subject = of_wakeup.or(subject);
                let about = subject.clone().unwrap_or_else(|| record(1));
                let begin = CallStart {
                    subject,
                    wakeup: wakeup.clone(),
                    ..begin(&format!("t{transaction}"), &about, self.now)
                };
                let begun = store.begin(begin).await;
                if let Ok(BeginOutcome::Started(lease)) = &begun {
                    self.leases.extend(lease.clone());
                    self.settling = wakeup.or(self.settling.take());
                }
                format!("{begun:?}")
            }
            Step::End {
                transaction,
                lease,
                retry,
                interrupted,
            } => {
                let wakeup = self.settling.clone().map(|found| match retry {
                    true => WakeupSettlement::Retry(found, now.after(Duration::from_millis(5))),
                    false => WakeupSettlement::Done(found),
                });
                let end = CallEnd {
                    transaction: update(transaction, true, now),
                    lease: lease.and_then(|lease| self.leases.get(lease).cloned()),
                    wakeup,
                    interrupted,
                };
                format!("{:?}", store.end(end).await)
            }
            Step::Prune {
                success,
                failure,
                limit,
            } => {
                let prune = PruneRequest {
                    succeeded_before: Timestamp(now.0.saturating_sub(success)),
                    failed_before: Timestamp(now.0.saturating_sub(failure)),
                    after: None,
                    limit,
                };
                format!("{:?}", store.prune_transactions(prune).await)
            }
            Step::Report(id, last) => format!("{:?}", store.report(update(id, last, now)).await),
            Step::Advance(time) => {
                self.now += time;
                String::new()
            }
            Step::Recover => format!("{:?}", store.recover(now).await),
            Step::Redate => format!("{:?}", store.redate(now).await),
            Step::AddKey(id, same) => {
                let key = DataKey {
                    id,
                    kek_id: if same { "kek" } else { "another" }.to_owned(),
                    wrapped: vec![7; 72],
                    created: now,
                };
                format!("{:?}", store.add_data_key(key).await)
            }
            Step::RetireKey(id, despite_quarantined) => {
                format!("{:?}", store.retire_data_key(id, despite_quarantined).await)
            }
            Step::Reseal(which, how) => {
                let all = store.secrets(SecretScope::All, None, 10).await.unwrap();
                let Some(secret) = all.items.into_iter().nth(which) else {
                    return String::new();
                };
                let to = match how % 3 {
                    0 => ResealAction::Sound,
                    1 => ResealAction::Sealed(sealed(1 + u32::from(how) % 2, how)),
                    _ => ResealAction::Quarantined(Quarantine {
                        reason: "why".to_owned(),
                        since: now,
                    }),
                };
                format!("{:?}", store.reseal(vec![ResealStep { secret, to }]).await)
            }
            Step::List(filter, order, limit) => {
                let first = store.list(&filter, &order, None, limit).await;
                let cursor = first.as_ref().ok().and_then(|page| page.next.clone());
                let second = store.list(&filter, &order, cursor.as_deref(), limit).await;
                let counted = store.count(&filter, limit.into()).await;
                format!("{first:?} {second:?} {counted:?}")
            }
            Step::ListWakeups(node, limit, without) => {
                let first = store.upcoming(node.as_ref(), None, limit).await.unwrap();
                let cursor = first.next.clone();
                let second = store
                    .upcoming(node.as_ref(), cursor.as_deref(), limit)
                    .await;
                let excluded = without.map(|id| IDS[id]);
                let kinds = KindFilter::Except(excluded.as_slice());
                let due = store.due(now, limit, kinds).await;
                let next = [store.next_due(None).await, store.next_due(Some(now)).await];
                format!("{first:?} {second:?} {due:?} {next:?}")
            }
        }
    }

    /// Returns the whole content as text.
    async fn dump(&self) -> String {
        let store = self.store;
        let mut lines = Vec::new();
        for model in MODELS {
            let filter = Filter {
                model: model.to_owned(),
                hierarchy: None,
                equals: Vec::new(),
            };
            let found = store.find(&filter, None, 100).await.unwrap();
            for document in &found.items {
                let wakeups = store.wakeups(&document.reference).await;
                lines.push(format!("{wakeups:?}"));
            }
            lines.push(format!("{found:?}"));
        }
        let any = TransactionFilter::default();
        lines.push(format!("{:?}", store.transactions(&any, None, 100).await));
        for (node, scope) in NODES
            .into_iter()
            .zip([Scope::Subtree, Scope::Node].into_iter().cycle())
        {
            let below = TransactionFilter {
                hierarchy: Some((node.parse().unwrap(), scope)),
                ..TransactionFilter::default()
            };
            lines.push(format!("{:?}", store.transactions(&below, None, 100).await));
        }
        for id in 0..6 {
            lines.push(format!("{:?}", store.transaction(&format!("t{id}")).await));
        }
        for scope in [
            SecretScope::All,
            SecretScope::NotSealedWith(2),
            SecretScope::Quarantined,
        ] {
            let secrets = store.secrets(scope, None, 100).await.unwrap();
            let bytes = secrets.items.iter().map(|secret| &secret.bytes);
            lines.push(format!("{secrets:?} {:?}", bytes.collect::<Vec<_>>()));
        }
        lines.push(format!("{:?}", store.key_use().await));
        lines.push(format!("{:?}", store.data_keys().await));
        lines.join("\n")
    }
}

fn update(id: u8, last: bool, now: Timestamp) -> TransactionUpdate {
    let line = LogLine {
        at: now,
        level: Level::Info,
        message: "a line".to_owned(),
    };
    let outcome = TransactionOutcome {
        status: Status::Success,
        message: "done".to_owned(),
        completed: now,
    };
    TransactionUpdate {
        id: format!("t{id}"),
        lines: vec![line],
        parts: vec![TransactionPart {
            number: 1,
            action: "part".to_owned(),
            started: now,
            outcome: outcome.clone(),
        }],
        outcome: Some(outcome).filter(|_| last),
        ..TransactionUpdate::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn memory_store_behaves_like_sqlite(steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let sqlite = SqliteStore::in_memory().unwrap();
            let memory = MemoryStore::new(sqlite.id());
            let stores: [&dyn Store; 2] = [&sqlite, &memory];
            let mut both = stores.map(|store| StoreUnderTest {
                store,
                now: 0,
                leases: Vec::new(),
                settling: None,
            });
            for step in &steps {
                let [sqlite, memory] = &mut both;
                prop_assert_eq!(sqlite.apply(step).await, memory.apply(step).await, "{:?}", step);
            }
            let [sqlite, memory] = &both;
            prop_assert_eq!(sqlite.dump().await, memory.dump().await);
            Ok(())
        })?;
    }
}
