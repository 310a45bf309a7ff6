-- A mirrored bid as it stands now, told from others by the status that we last wrote. The arguments in their order.
UPDATE bids SET status = {status}{touched} WHERE marketplace = {marketplace} AND job_id = {job_id} AND status = {was}
