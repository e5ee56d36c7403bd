package main

import (
	"errors"

	"gosv/abi/boot"
	"gosv/host/rootfs"
)

// Statuses of the tool besides docker run's (boot.StatusError and so on).
const (
	statusTimeout = 124 // as timeout(1)
	statusSignal  = 128 // plus the signal's number
)

// exitStatus ends the tool with a status and no message: everything was said.
type exitStatus int

func (s exitStatus) Error() string { return "" }

// statusError is an error with a status of its own.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

// statusOf gives the exit status and the message of an error.
func statusOf(err error) (status int, msg string) {
	var exit exitStatus
	if errors.As(err, &exit) {
		return int(exit), ""
	}
	var own statusError
	var none *rootfs.NotFoundError
	var not *rootfs.NotExecutableError
	switch {
	case errors.As(err, &own):
		return own.status, err.Error()
	case errors.As(err, &none):
		return boot.StatusNoProgram, err.Error()
	case errors.As(err, &not):
		return boot.StatusNoExec, err.Error()
	}
	return boot.StatusError, err.Error()
}
