//! The names that unknown sources give to a posting's fields. To teach `auto` another name, add it here.

/// A field of a posting that generic sources may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Field {
    Marketplace,
    Id,
    Url,
    Title,
    Description,
    Budget,
    BudgetMin,
    BudgetMax,
    BudgetCents,
    HourlyMin,
    HourlyMax,
    Currency,
    BudgetKind,
    Skills,
    Client,
    ClientCountry,
    ClientRating,
    ClientReviews,
    ClientSpent,
    PaymentVerified,
    Location,
    Category,
    BidCost,
    Proposals,
    Biddable,
    PostedAt,
}

/// Each field: its key in a `--map` file, and the usual names, best first, as [`plain_name`] writes them.
/// A dot stands for one level of nesting, whose marks do not count either.
pub(super) const FIELDS: &[(Field, &str, &[&str])] = &[
    (Field::Marketplace, "marketplace", &["marketplace", "platform", "board", "site", "sitename"]),
    (
        Field::Id,
        "id",
        &[
            "jobid",
            "postingid",
            "projectid",
            "taskid",
            "gigid",
            "listingid",
            "jobpostingid",
            "ciphertext",
            "id",
            "uid",
            "uuid",
            "guid",
            "externalid",
            "jobkey",
            "reference",
        ],
    ),
    (
        Field::Url,
        "url",
        &[
            "joburl",
            "postingurl",
            "projecturl",
            "url",
            "link",
            "joblink",
            "permalink",
            "href",
            "weburl",
            "listingurl",
            "applyurl",
            "applicationlink",
            "applylink",
        ],
    ),
    (
        Field::Title,
        "title",
        &[
            "title",
            "jobtitle",
            "projecttitle",
            "postingtitle",
            "tasktitle",
            "position",
            "positiontitle",
            "headline",
            "subject",
            "jobname",
            "projectname",
            "name",
            "role",
        ],
    ),
    (
        Field::Description,
        "description",
        &[
            "description",
            "jobdescription",
            "projectdescription",
            "fulldescription",
            "details",
            "body",
            "content",
            "summary",
            "text",
            "snippet",
            "previewdescription",
        ],
    ),
    (
        Field::Budget,
        "budget",
        &[
            "budget",
            "budgetamount",
            "fixedprice",
            "fixedpriceamount",
            "amount",
            "price",
            "salary",
            "pay",
            "compensation",
            "payrate",
            "rate",
            "hourlyrate",
            "hourlyrange",
            "budgetusd",
            "budgetrange",
            "reward",
        ],
    ),
    (
        Field::BudgetMin,
        "budget_min",
        &[
            "budgetmin",
            "minbudget",
            "budgetminimum",
            "minimumbudget",
            "budgetlow",
            "budgetfrom",
            "salarymin",
            "minsalary",
            "minprice",
            "pricemin",
        ],
    ),
    (
        Field::BudgetMax,
        "budget_max",
        &[
            "budgetmax",
            "maxbudget",
            "budgetmaximum",
            "maximumbudget",
            "budgethigh",
            "budgetto",
            "salarymax",
            "maxsalary",
            "maxprice",
            "pricemax",
        ],
    ),
    (
        Field::BudgetCents,
        "budget_cents",
        &["budgetcents", "budgetminor", "pricecents", "amountcents", "rewardcents"],
    ),
    (
        Field::HourlyMin,
        "hourly_min",
        &["hourlybudgetmin", "hourlymin", "minhourlyrate", "hourlyratemin", "minhourly"],
    ),
    (
        Field::HourlyMax,
        "hourly_max",
        &["hourlybudgetmax", "hourlymax", "maxhourlyrate", "hourlyratemax", "maxhourly"],
    ),
    (
        Field::Currency,
        "currency",
        &["currency", "currencycode", "budgetcurrency", "salarycurrency", "currency.code", "budget.currency"],
    ),
    (
        Field::BudgetKind,
        "budget_kind",
        &["budgetkind", "budgettype", "jobtype", "projecttype", "paymenttype", "pricetype", "salarytype"],
    ),
    (
        Field::Skills,
        "skills",
        &[
            "skills",
            "requiredskills",
            "skillsrequired",
            "ontologyskills",
            "tags",
            "techstack",
            "technologies",
            "keywords",
            "labels",
        ],
    ),
    (
        Field::Client,
        "client",
        &[
            "clientname",
            "company",
            "companyname",
            "employer",
            "employername",
            "buyer",
            "client.name",
            "client",
            "organization",
            "postedby",
        ],
    ),
    (
        Field::ClientCountry,
        "client_country",
        &[
            "clientcountry",
            "client.country",
            "client.location.country",
            "buyercountry",
            "employercountry",
            "country",
        ],
    ),
    (
        Field::ClientRating,
        "client_rating",
        &["clientrating", "client.rating", "clientscore", "totalfeedback", "buyerrating"],
    ),
    (
        Field::ClientReviews,
        "client_reviews",
        &["clientreviews", "client.reviews", "totalreviews", "reviewscount", "numreviews"],
    ),
    (
        Field::ClientSpent,
        "client_spent",
        &["clientspent", "client.spent", "clienttotalspent", "totalspent", "clientspend"],
    ),
    (
        Field::PaymentVerified,
        "payment_verified",
        &[
            "paymentverified",
            "client.paymentverified",
            "paymentverificationstatus",
            "clientpaymentverified",
            "ispaymentverified",
        ],
    ),
    (Field::Location, "location", &["location", "joblocation", "region", "city", "place"]),
    (Field::Category, "category", &["category", "categoryname", "subcategory", "categories", "department"]),
    (
        Field::BidCost,
        "bid_cost",
        &["connectprice", "connects", "connectsrequired", "bidcost", "credits", "creditsrequired"],
    ),
    (
        Field::Proposals,
        "proposals",
        &[
            "proposals",
            "bidcount",
            "bids",
            "totalapplicants",
            "applicants",
            "proposalcount",
            "numproposals",
            "offers",
        ],
    ),
    (Field::Biddable, "biddable", &["biddable", "isbiddable", "canbid", "acceptingbids", "isopen"]),
    (
        Field::PostedAt,
        "posted_at",
        &[
            "postedat",
            "posteddate",
            "dateposted",
            "postedon",
            "posted",
            "publishedat",
            "publishtime",
            "publisheddate",
            "datepublished",
            "pubdate",
            "createdat",
            "createtime",
            "created",
            "createddatetime",
            "timesubmitted",
            "date",
            "epoch",
            "timestamp",
        ],
    ),
];

/// Column names that say that rows are bids, not postings.
pub(super) const BID_COLUMNS: &[&str] = &["bidid", "proposalid", "bidderid"];

/// A name as it is compared: without case, blanks, `_`, `-` and other marks.
pub(super) fn plain_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The same, keeping the dots that stand for nesting.
pub(super) fn plain_path(path: &str) -> String {
    path.chars().filter(|c| c.is_alphanumeric() || *c == '.').flat_map(char::to_lowercase).collect()
}

/// Whether some field is usually called this.
pub(super) fn is_known(name: &str) -> bool {
    let name = plain_name(name);
    FIELDS.iter().any(|(_, _, names)| names.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_for_two_fields_and_all_are_plain() {
        let mut seen = std::collections::HashMap::new();
        for (field, _, names) in FIELDS {
            for name in *names {
                assert_eq!(*name, plain_path(name));
                assert_eq!(seen.insert(*name, *field), None, "{name}");
            }
        }
        assert!(is_known("Job ID") && is_known("job_title") && !is_known("weather"));
    }
}
