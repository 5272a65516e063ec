# ACCESS_KEY_ID is the id that `aws iam list-access-keys` shows.
aws iam delete-access-key --user-name={{product}} --access-key-id="$ACCESS_KEY_ID"
aws iam delete-user-policy --user-name={{product}} --policy-name={{product}}
aws iam delete-user --user-name={{product}}
