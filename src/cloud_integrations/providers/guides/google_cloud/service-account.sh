PROJECT_ID=your-project
ACCOUNT="product-access@$PROJECT_ID.iam.gserviceaccount.com"
gcloud iam service-accounts create product-access --project="$PROJECT_ID" --display-name={{product}}
gcloud projects add-iam-policy-binding "$PROJECT_ID" --member="serviceAccount:$ACCOUNT" --role={{permissions.role}} --condition=None
gcloud iam service-accounts keys create key.json --iam-account="$ACCOUNT"
