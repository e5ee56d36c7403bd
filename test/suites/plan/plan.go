// Package plan is what the tool and the runner of the suites say to each other: which tests to run, and what became of them.
package plan

// Suite is one test program.
type Suite struct {
	Name    string   // "net/http"
	Argv    []string // the program
	Dir     string   // its working directory; made if missing
	Env     []string
	List    string   // option that makes it list its tests: "-test.list=.*"
	Run     string   // option that names tests, as a format: "-test.run=^(%s)$"
	Between string   // what is between their names: "|"
	Skip    []string // tests not to run
	Stall   int      // seconds that one test may wait; it may work for five times as long
	Total   int      // seconds that all may take together
}

// Results of a test, and what else an event can be.
const (
	Pass   = "pass"
	Fail   = "fail"
	Skip   = "skip"
	Listed = "list"  // Output has all tests, one a line
	Start  = "start" // of one test
	Begin  = "begin" // of the suite
	End    = "end"   // of the suite; Output says what went wrong with it as a whole
)

// Event is one line of the runner's output.
type Event struct {
	Suite   string
	Test    string `json:",omitempty"`
	Result  string
	Seconds float64 `json:",omitempty"`
	Output  string  `json:",omitempty"` // of a test that failed or was skipped: its last lines
}

// Mark is before each event.
const Mark = "@@ suites "
