kubectl delete clusterrolebinding product-access
kubectl delete clusterrole product-access
kubectl delete namespace product-access
