-- A mirrored bid of which nothing was accepted goes. The arguments in their order.
DELETE FROM bids WHERE marketplace = {marketplace} AND job_id = {job_id} AND status = {was}
