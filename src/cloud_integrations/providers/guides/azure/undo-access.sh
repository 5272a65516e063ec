az ad sp delete --id={{app_client_id}}
