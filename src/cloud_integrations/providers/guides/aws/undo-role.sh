aws iam delete-role-policy --role-name={{product}} --policy-name=access
aws iam delete-role --role-name={{product}}
