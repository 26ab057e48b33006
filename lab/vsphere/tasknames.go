package main

import "strings"

// taskMethods are the simulator's names of tasks whose method is not that name with _Task.
var taskMethods = map[string]string{
	"CreateVm": "CreateVM_Task", "RegisterVm": "RegisterVM_Task", "CloneVm": "CloneVM_Task", "ReconfigVm": "ReconfigVM_Task",
	"RelocateVm": "RelocateVM_Task", "PowerOn": "PowerOnVM_Task", "PowerOff": "PowerOffVM_Task", "Suspend": "SuspendVM_Task",
	"Reset": "ResetVM_Task", "CustomizeVm": "CustomizeVM_Task", "UpgradeVm": "UpgradeVM_Task",
	"ReconfigureCluster": "ReconfigureComputeResource_Task", "RevertSnapshot": "RevertToCurrentSnapshot_Task",
	"ReconfigureDvs": "ReconfigureDvs_Task", "ReconfigureDvPortgroup": "ReconfigureDVPortgroup_Task",
	"ShutdownGuest": "ShutdownGuest", "StandbyGuest": "StandbyGuest", "ImportVAppLRO": "ImportVApp", "ImportVApp": "ImportVApp",
}

// taskMethod is the method a task was started by. Clients read it in info.name and cannot take another name.
func taskMethod(name string) string {
	if method, ok := taskMethods[name]; ok {
		return method
	}
	if strings.HasSuffix(name, "_Task") {
		return name
	}
	return name + "_Task"
}
