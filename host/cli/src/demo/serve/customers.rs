//! The customers of the served demo, as data.

use relation_host::reports::Grant;

use self::Step::{
    Add, Begin, Connect, EmptyLists, Fail, Freeze, Import, LoseRole, Narrow, RateLimit, Revoke,
    Schedule,
};

/// The days before now at which the history of the customers begins.
pub(super) const HISTORY: u64 = 101;
/// The user as whom visitors are logged in.
pub(super) const USER: &str = "visitor";
/// The nodes of the resellers, below `sys.Provider`.
pub(super) const RESELLERS: [&str; 3] = ["Aurora", "Beacon", "Cascade"];
/// The organization at Webex that no record has, and that the consent page proposes.
pub(super) const UNUSED_ORGANIZATION: &str = "Kingfisher Kayaks";

/// A customer with its history.
pub(super) struct Customer {
    pub(super) name: &'static str,
    /// The node above the customer's own, below `sys.Provider`; empty: none.
    pub(super) above: &'static str,
    pub(super) kind: Kind,
    /// The steps, each with the days before now, the earliest first.
    pub(super) steps: &'static [(u64, Step)],
}

/// The kind of a customer, which its form says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    /// With Contact Center, in this region.
    ContactCenter(&'static str),
    Wholesale,
}

/// One event in the history of a customer.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Adds the record.
    Add,
    /// Begins a consent that nobody gives.
    Begin,
    /// Gives the consent to a grant.
    Connect(Grant),
    /// Gives the consent without one of the scopes.
    Narrow(&'static str),
    /// From now on, a refresh does not extend the lifetime of the refresh token.
    Freeze,
    /// Imports everything.
    Import,
    /// Imports everything each day.
    Schedule,
    /// Webex revokes the tokens, as when the administrator leaves.
    Revoke,
    /// The administrator at Webex loses all roles, so that imports fail.
    LoseRole,
    /// The lists of people are empty, which an import does not believe.
    EmptyLists,
    /// The next refreshes fail with this status.
    Fail(u16),
    /// Webex asks the next refresh to wait.
    RateLimit,
}

impl Step {
    /// Returns whether the step disturbs the refreshes of all organizations, so that it must run alone.
    pub(super) fn runs_alone(self) -> bool {
        matches!(self, Fail(_) | RateLimit)
    }
}

const ORGANIZATION: Step = Connect(Grant::Organization);
const CUSTOMERS_GRANT: Step = Connect(Grant::WholesaleCustomers);
const USERS_GRANT: Step = Connect(Grant::WholesaleUsers);

const fn normal(
    name: &'static str,
    above: &'static str,
    steps: &'static [(u64, Step)],
) -> Customer {
    customer(Kind::Normal, name, above, steps)
}

const fn customer(
    kind: Kind,
    name: &'static str,
    above: &'static str,
    steps: &'static [(u64, Step)],
) -> Customer {
    Customer {
        name,
        above,
        kind,
        steps,
    }
}

/// All customers. A refresh token is valid for 90 days; frozen ones expire 90 days after their consent.
pub(super) const CUSTOMERS: &[Customer] = &[
    normal(
        "Acme Analytics",
        "Aurora",
        &[(12, Add), (12, ORGANIZATION), (12, Import), (1, Schedule)],
    ),
    normal(
        "Bluebird Bakeries",
        "Aurora",
        &[(9, Add), (9, ORGANIZATION)],
    ),
    normal(
        "Contoso",
        "Aurora",
        &[(6, Add), (6, ORGANIZATION), (5, Import)],
    ),
    normal(
        "Delta Dental",
        "Aurora",
        &[(90, Add), (89, ORGANIZATION), (89, Freeze)],
    ),
    normal(
        "Evergreen Estates",
        "Aurora",
        &[(84, Add), (84, ORGANIZATION), (84, Freeze)],
    ),
    normal(
        "Fabrikam",
        "Aurora",
        &[(70, Add), (70, ORGANIZATION), (70, Freeze)],
    ),
    normal(
        "Glacier Logistics",
        "Aurora",
        &[(101, Add), (100, ORGANIZATION), (100, Freeze)],
    ),
    normal(
        "Harbor Hotels",
        "Aurora.East",
        &[(20, Add), (20, ORGANIZATION), (12, Revoke)],
    ),
    normal("Iris Interiors", "Aurora.East", &[(4, Add)]),
    normal("Juniper Jewelers", "Aurora.East", &[(1, Add), (0, Begin)]),
    normal(
        "Kestrel Kitchens",
        "Aurora.East",
        &[(8, Add), (8, ORGANIZATION), (0, Fail(503))],
    ),
    normal(
        "Lighthouse Labs",
        "Aurora.East",
        &[(7, Add), (7, Narrow("spark-admin:people_read"))],
    ),
    normal("Maple Motors", "Beacon", &[(10, Add), (10, ORGANIZATION)]),
    normal(
        "Nimbus Networks",
        "Beacon",
        &[(8, Add), (8, ORGANIZATION), (7, Import)],
    ),
    customer(
        Kind::ContactCenter("EU"),
        "Orchid Optics",
        "Beacon",
        &[(11, Add), (11, ORGANIZATION), (11, Import)],
    ),
    customer(
        Kind::Wholesale,
        "Pinnacle Partners",
        "Beacon",
        &[
            (13, Add),
            (13, ORGANIZATION),
            (13, CUSTOMERS_GRANT),
            (13, USERS_GRANT),
            (12, Import),
        ],
    ),
    customer(
        Kind::Wholesale,
        "Quartz Wholesale",
        "Beacon",
        &[(5, Add), (5, ORGANIZATION)],
    ),
    customer(
        Kind::Wholesale,
        "Riverside Resale",
        "Beacon",
        &[(6, Add), (6, ORGANIZATION), (6, CUSTOMERS_GRANT)],
    ),
    normal(
        "Summit Sports",
        "Beacon",
        &[(3, Add), (3, ORGANIZATION), (2, LoseRole), (1, Import)],
    ),
    normal(
        "Tundra Tours",
        "Beacon",
        &[
            (4, Add),
            (4, ORGANIZATION),
            (4, Import),
            (2, EmptyLists),
            (1, Import),
        ],
    ),
    normal(
        "Umbra Umbrellas",
        "Beacon",
        &[(9, Add), (9, ORGANIZATION), (0, RateLimit)],
    ),
    normal(
        "Vista Vineyards",
        "Beacon",
        &[(86, Add), (86, ORGANIZATION), (86, Freeze)],
    ),
    normal("Willow Wines", "Beacon", &[(2, Add)]),
    normal("Xenon X-Rays", "Beacon", &[(3, Add), (3, ORGANIZATION)]),
    normal(
        "Yarrow Yachts",
        "Cascade",
        &[(25, Add), (25, ORGANIZATION), (9, Revoke)],
    ),
    normal(
        "Zephyr Zeppelins",
        "Cascade",
        &[(95, Add), (95, ORGANIZATION), (95, Freeze)],
    ),
    normal(
        "Alpine Airlines",
        "Cascade",
        &[(13, Add), (13, ORGANIZATION)],
    ),
    normal(
        "Borealis Books",
        "Cascade",
        &[(2, Add), (2, ORGANIZATION), (2, Import)],
    ),
    customer(
        Kind::ContactCenter("US"),
        "Cobalt Clinics",
        "Cascade",
        &[(5, Add), (5, ORGANIZATION), (5, Import)],
    ),
    normal(
        "Dune Dairies",
        "Cascade",
        &[(55, Add), (55, ORGANIZATION), (55, Freeze)],
    ),
    customer(
        Kind::ContactCenter("Japan"),
        "Ember Energy",
        "Cascade",
        &[(1, Add)],
    ),
    normal("Fjord Foods", "Cascade", &[(4, Add), (4, ORGANIZATION)]),
    normal(
        "Granite Gyms",
        "Cascade",
        &[(10, Add), (10, Narrow("spark-admin:locations_read"))],
    ),
    normal(
        "Horizon Housing",
        "Cascade",
        &[(7, Add), (7, ORGANIZATION), (7, Import), (1, Schedule)],
    ),
    customer(
        Kind::Wholesale,
        "Indigo Indirect",
        "Cascade",
        &[
            (96, Add),
            (96, USERS_GRANT),
            (96, Freeze),
            (30, ORGANIZATION),
            (30, CUSTOMERS_GRANT),
        ],
    ),
    normal("Headquarters", "", &[(14, Add), (14, ORGANIZATION)]),
];
