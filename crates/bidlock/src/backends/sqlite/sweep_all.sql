-- Takes out every expired row, when the file is opened. ?1 boot id, ?2 now.
DELETE FROM bidlock_lease WHERE boot_id <> ?1 OR deadline_ms <= ?2;
