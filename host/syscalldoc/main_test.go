package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCurrent(t *testing.T) {
	old, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, document()) {
		t.Errorf("%s is not current: run go run ./host/syscalldoc", file)
	}
}
