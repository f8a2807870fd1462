//go:build !berth_static

package berth

// #cgo pkg-config: berth
import "C"
