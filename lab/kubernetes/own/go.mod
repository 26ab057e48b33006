module photon.test/lab/kubernetes

go 1.26.0
