CLIENT_ID=the-client-id
az ad app delete --id="$CLIENT_ID"
