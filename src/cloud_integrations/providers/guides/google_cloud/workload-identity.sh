PROJECT_ID=your-project
SUBJECT={{subject}}
PROJECT_NUMBER=$(gcloud projects describe "$PROJECT_ID" --format="value(projectNumber)")
POOL="projects/$PROJECT_NUMBER/locations/global/workloadIdentityPools/product-access"
ACCOUNT="product-access@$PROJECT_ID.iam.gserviceaccount.com"
gcloud iam workload-identity-pools create product-access --project="$PROJECT_ID" --location=global --display-name={{product}}
gcloud iam workload-identity-pools providers create-oidc issuer --project="$PROJECT_ID" --location=global \
  --workload-identity-pool=product-access --issuer-uri={{issuer}} --attribute-mapping="google.subject=assertion.sub"
gcloud iam service-accounts create product-access --project="$PROJECT_ID" --display-name={{product}}
gcloud projects add-iam-policy-binding "$PROJECT_ID" --member="serviceAccount:$ACCOUNT" --role={{permissions.role}} --condition=None
gcloud iam service-accounts add-iam-policy-binding "$ACCOUNT" --project="$PROJECT_ID" \
  --role=roles/iam.workloadIdentityUser --member="principal://iam.googleapis.com/$POOL/subject/$SUBJECT"
echo "audience: //iam.googleapis.com/$POOL/providers/issuer"
echo "service account: $ACCOUNT"
