package machines

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Stream is where a piece of output came from.
type Stream byte

// The streams.
const (
	Stdout Stream = 'o'
	Stderr Stream = 'e' // of the program, and what the tool says of it
	Kernel Stream = 'k'
)

// Record is a piece of output. In the file it is a line "NANOSECONDS STREAM
// LENGTH", the bytes, and a newline.
type Record struct {
	Time   time.Time
	Stream Stream
	Data   []byte
}

// Log is the output of a machine as its supervisor writes it. When the file is
// full it becomes output.1, in the place of an older one.
type Log struct {
	dir string
	max int64

	mu   sync.Mutex // what follows
	f    *os.File
	size int64
}

// maxLog is the size of each of the two files.
const maxLog = 32 << 20

// maxRecord bounds a record.
const maxRecord = 1 << 20

// OpenLog begins the output of a machine.
func (m *Machine) OpenLog() (*Log, error) {
	l := &Log{dir: m.Dir, max: maxLog}
	return l, l.create()
}

func (l *Log) create() (err error) {
	l.f, err = os.OpenFile(filepath.Join(l.dir, "output"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	l.size = 0
	return err
}

func (l *Log) write(s Stream, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := fmt.Sprintf("%d %c %d\n", time.Now().UnixNano(), s, len(data))
	b := make([]byte, 0, len(head)+len(data)+1)
	b = append(append(append(b, head...), data...), '\n')
	if l.size > 0 && l.size+int64(len(b)) > l.max {
		name := filepath.Join(l.dir, "output")
		if err := os.Rename(name, name+".1"); err != nil {
			return err
		}
		l.f.Close()
		if err := l.create(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return err
}

// Writer gives a writer to a stream.
func (l *Log) Writer(s Stream) io.Writer { return logWriter{l, s} }

type logWriter struct {
	l *Log
	s Stream
}

// Write implements io.Writer.
func (w logWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), maxRecord)
		if err := w.l.write(w.s, p[:k]); err != nil {
			return n, err
		}
		n += k
		p = p[k:]
	}
	return n, nil
}

// pollOutput is how often Follow looks for more.
const pollOutput = 50 * time.Millisecond

// ReadLog calls f for each record, the oldest first. With follow it waits for
// more until the machine ends.
func (m *Machine) ReadLog(follow bool, f func(Record) error) error {
	name := filepath.Join(m.Dir, "output")
	now, err := os.Open(name)
	for i := 0; errors.Is(err, fs.ErrNotExist) && follow && i < 20; i++ { // it is starting
		time.Sleep(pollOutput)
		now, err = os.Open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { now.Close() }()
	if old, err := os.Open(name + ".1"); err == nil {
		if !sameFile(now, name+".1") { // replaced just now
			err = readRecords(old, f)
		}
		old.Close()
		if err != nil {
			return err
		}
	}
	r := newRecordReader(now)
	for {
		// Before the end of the file is looked for: what comes in between is read once more.
		alive := false
		if follow {
			s, err := m.State()
			alive = err == nil && s.Alive()
		}
		replaced := follow && !sameFile(now, name)
		if err := r.all(f); err != nil {
			return err
		}
		switch {
		case replaced:
			next, err := os.Open(name)
			if err != nil {
				return nil // it was removed
			}
			now.Close()
			now, r = next, newRecordReader(next)
		case !alive:
			return nil
		default:
			time.Sleep(pollOutput)
		}
	}
}

func sameFile(f *os.File, name string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(name)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func readRecords(f *os.File, each func(Record) error) error { return newRecordReader(f).all(each) }

// recordReader reads records up to the end of a file that may grow.
type recordReader struct {
	f  *os.File
	at int64 // of the next record
}

func newRecordReader(f *os.File) *recordReader { return &recordReader{f: f} }

var errRecord = errors.New("the file of the output is damaged")

// all calls each for every whole record that is there.
func (r *recordReader) all(each func(Record) error) error {
	b := bufio.NewReaderSize(io.NewSectionReader(r.f, r.at, 1<<62), 64<<10)
	for {
		head, err := b.ReadSlice('\n')
		if err == io.EOF {
			return nil
		} else if err != nil {
			return errRecord
		}
		rec, n, ok := parseHead(string(head))
		if !ok {
			return errRecord
		}
		size := int64(len(head)) + int64(n) + 1
		rec.Data = make([]byte, n+1)
		if _, err := io.ReadFull(b, rec.Data); err != nil {
			return nil // the rest is being written, or never was
		}
		if rec.Data[n] != '\n' {
			return errRecord
		}
		rec.Data = rec.Data[:n]
		r.at += size
		if err := each(rec); err != nil {
			return err
		}
	}
}

func parseHead(line string) (r Record, n int, ok bool) {
	w := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(w) != 3 || len(w[1]) != 1 {
		return r, 0, false
	}
	at, err1 := strconv.ParseInt(w[0], 10, 64)
	n, err2 := strconv.Atoi(w[2])
	r.Time, r.Stream = time.Unix(0, at), Stream(w[1][0])
	return r, n, err1 == nil && err2 == nil && n >= 0 && n <= maxRecord
}

// Lines makes lines of records: a line of one stream is whole before one of
// another follows. The end of the output ends every line.
type Lines struct {
	Line func(t time.Time, s Stream, line []byte) error // without its end
	rest map[Stream]*Record
}

// Add takes a record.
func (l *Lines) Add(r Record) error {
	if l.rest == nil {
		l.rest = map[Stream]*Record{}
	}
	for data := r.Data; len(data) > 0; {
		held := l.rest[r.Stream]
		if held == nil {
			held = &Record{Time: r.Time, Stream: r.Stream}
			l.rest[r.Stream] = held
		}
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			held.Data = append(held.Data, data...)
			return nil
		}
		line := append(held.Data, data[:i]...)
		data = data[i+1:]
		delete(l.rest, r.Stream)
		if err := l.Line(held.Time, r.Stream, line); err != nil {
			return err
		}
	}
	return nil
}

// End gives what has no end of line.
func (l *Lines) End() error {
	for _, s := range []Stream{Kernel, Stdout, Stderr} {
		if held := l.rest[s]; held != nil {
			if err := l.Line(held.Time, s, held.Data); err != nil {
				return err
			}
		}
	}
	l.rest = nil
	return nil
}
