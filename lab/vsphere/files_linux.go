package main

import (
	"os"
	"syscall"
)

// blocks is the space a file takes, holes left out.
func blocks(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(stat.Blocks*512, info.Size())
	}
	return info.Size()
}
