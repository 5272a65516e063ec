SUBSCRIPTION_ID=your-subscription
APP_ID=$(az ad app create --display-name={{product}} --query=appId --output=tsv)
az ad sp create --id="$APP_ID"
az role assignment create --assignee="$APP_ID" --role={{permissions.role}} --scope="/subscriptions/$SUBSCRIPTION_ID"
az ad app federated-credential create --id="$APP_ID" --parameters=@credential.json
echo "client id: $APP_ID"
