aws iam create-user --user-name={{product}}
aws iam put-user-policy --user-name={{product}} --policy-name={{product}} --policy-document=file://permissions.json
aws iam create-access-key --user-name={{product}}
