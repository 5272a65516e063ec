SUBSCRIPTION_ID=your-subscription
az ad sp create --id={{app_client_id}}
az role assignment create --assignee={{app_client_id}} --role={{permissions.role}} --scope="/subscriptions/$SUBSCRIPTION_ID"
