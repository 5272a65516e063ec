PROJECT_ID=your-project
ACCOUNT="product-access@$PROJECT_ID.iam.gserviceaccount.com"
gcloud projects remove-iam-policy-binding "$PROJECT_ID" --member="serviceAccount:$ACCOUNT" --role={{permissions.role}} --condition=None
gcloud iam service-accounts delete "$ACCOUNT" --project="$PROJECT_ID"
