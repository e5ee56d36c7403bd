package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"sort"
	"strings"
)

func lint(linked string) error {
	_ = bufio.NewScanner
	_ = bytes.NewReader
	_ = errors.New
	_ = fmt.Sprint
	_ = exec.Command
	_ = sort.Strings
	_ = strings.Fields
	return nil
}
