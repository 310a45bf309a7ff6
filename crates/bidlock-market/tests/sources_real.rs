//! The counts of the real data folder: sightings in, distinct postings out, nothing lost, nothing invented.
//! Skipped, and says so, where the folder is absent.

#[cfg(test)]
mod real_data {
    use std::collections::HashSet;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use bidlock_market::{Format, ReadOptions, expand, read};

    fn real_data() -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("BIDLOCK_REAL_DATA") {
            return Some(PathBuf::from(path)).filter(|path| path.is_dir());
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file())?;
        Some(root.join("../shared/data")).filter(|path| path.is_dir())
    }

    fn options() -> ReadOptions {
        ReadOptions::auto("2026-11-01T00:00:00Z".parse().unwrap())
    }

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Counts {
        sightings: usize,
        distinct: usize,
        invalid: usize,
        ambiguous: usize,
    }

    /// Reads everything under some paths, and demands that each file with rows was found to be `format`.
    fn counts(paths: &[PathBuf], options: &ReadOptions, format: Format) -> Counts {
        let arguments: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut counts = Counts::default();
        let mut ids = HashSet::new();
        for input in expand(&arguments).unwrap() {
            let fetch = read(&input, options).unwrap();
            assert_eq!(fetch.format, format, "{}", fetch.source);
            for row in fetch.rows {
                counts.sightings += 1;
                match row {
                    Ok(posting) => {
                        if let Some(ambiguity) = &posting.ambiguity {
                            println!("{}: {ambiguity}", fetch.source);
                            counts.ambiguous += 1;
                        }
                        ids.insert(posting.id);
                    }
                    Err(invalid) => {
                        println!("{invalid}");
                        counts.invalid += 1;
                    }
                }
            }
        }
        counts.distinct = ids.len();
        counts
    }

    fn clean(sightings: usize, distinct: usize) -> Counts {
        Counts { sightings, distinct, ..Counts::default() }
    }

    macro_rules! real {
        ($name:ident, |$data:ident| $body:block) => {
            #[test]
            fn $name() {
                let Some($data) = real_data() else {
                    println!("SKIPPED (no real data): {}", stringify!($name));
                    return;
                };
                $body
            }
        };
    }

    real!(upwork_rss, |data| {
        let folder = data.join("upwork_rss");
        assert_eq!(counts(std::slice::from_ref(&folder), &options(), Format::UpworkRss), clean(720, 684));
        let pair = ["2024-07-18T123533Z.json", "2024-07-18T123859Z.json"].map(|name| folder.join(name));
        assert_eq!(counts(&pair, &options(), Format::UpworkRss), clean(60, 30));
    });

    real!(upwork_rss_fields, |data| {
        use bidlock_market::BudgetKind::{Fixed, Hourly, None as NoBudget};
        let mut kinds = std::collections::HashMap::new();
        let (mut without_skills, mut countries, mut dated) = (0, 0, 0);
        for input in expand(&[data.join("upwork_rss").display().to_string()]).unwrap() {
            for posting in read(&input, &options()).unwrap().rows.into_iter().flatten() {
                *kinds.entry(posting.budget.kind).or_insert(0) += 1;
                without_skills += usize::from(posting.skills.is_empty());
                countries += usize::from(posting.client.country.is_some());
                dated += usize::from(posting.posted_at.is_some());
                assert!(!posting.title.ends_with("- Upwork") && !posting.title.is_empty());
                assert!(!posting.description.contains("<br") && !posting.description.contains("&nbsp;"));
                assert_eq!(posting.budget.bid_amount().is_some(), posting.budget.kind != NoBudget);
            }
        }
        assert_eq!((kinds[&Hourly], kinds[&Fixed], kinds[&NoBudget]), (345, 162, 213));
        assert_eq!((without_skills, countries, dated), (6, 720, 720));
    });

    real!(upwork_search, |data| {
        assert_eq!(counts(&[data.join("upwork_search")], &options(), Format::UpworkSearch), clean(450, 285));
    });

    real!(upwork_feed_2018, |data| {
        assert_eq!(
            counts(&[data.join("upwork_feed_2018")], &options(), Format::UpworkFeed),
            clean(1_052, 689)
        );
    });

    real!(job_board_sample, |data| {
        let found = counts(&[data.join("job_board_crawls/sample")], &options(), Format::JobBoard);
        assert_eq!((found.sightings, found.invalid, found.ambiguous), (130, 0, 0));
    });

    real!(job_board_crawls, |data| {
        let folder = tempfile::tempdir().unwrap();
        let unpacked = Command::new("tar")
            .arg("--zstd")
            .arg("-xf")
            .arg(data.join("job_board_crawls/crawls.tar.zst"))
            .arg("-C")
            .arg(folder.path())
            .status();
        if !unpacked.is_ok_and(|status| status.success()) {
            println!("SKIPPED (no tar with zstd): job_board_crawls");
            return;
        }
        assert_eq!(counts(&[folder.path().to_owned()], &options(), Format::JobBoard), clean(14_941, 5_261));
    });

    real!(freelancer_com, |data| {
        assert_eq!(counts(&[data.join("freelancer_com")], &options(), Format::Freelancer), clean(10, 10));
    });

    real!(remoteok, |data| {
        assert_eq!(counts(&[data.join("remoteok")], &options(), Format::RemoteOk), clean(97, 97));
    });

    real!(json_ld, |data| {
        assert_eq!(counts(&[data.join("jobposting_jsonld")], &options(), Format::JsonLd), clean(1, 1));
    });

    real!(toku_jobs, |data| {
        let options = ReadOptions { marketplace: Some("toku".to_owned()), ..options() };
        assert_eq!(counts(&[data.join("toku_bids/jobs.csv")], &options, Format::Csv), clean(127, 127));
        let input = expand(&[data.join("toku_bids/jobs.csv").display().to_string()]).unwrap().remove(0);
        let fetch = read(&input, &options).unwrap();
        assert!(fetch.notes.contains(&"budget_cents: budget_cents".to_owned()), "{:?}", fetch.notes);
        assert_eq!(fetch.rows.iter().flatten().filter(|posting| posting.biddable == Some(false)).count(), 28);
    });

    real!(the_whole_folder_is_no_error_but_for_rows_of_bids, |data| {
        let options = ReadOptions { marketplace: Some("mixed".to_owned()), ..options() };
        for input in expand(&[data.display().to_string()]).unwrap() {
            let fetch = read(&input, &options).unwrap();
            assert!(fetch.rows.iter().all(Result::is_ok), "{}", fetch.source);
            let skipped = fetch.notes.iter().any(|note| note.starts_with("skipped"));
            let is_other =
                ["README.md", "crawls.tar.zst", "bids.csv"].iter().any(|name| fetch.source.ends_with(name));
            assert_eq!(skipped, is_other, "{}: {:?}", fetch.source, fetch.notes);
        }
    });
}
