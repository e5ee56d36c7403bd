package main

import "encoding/binary"

// profile is one of package pprof (github.com/google/pprof/proto/profile.proto), with a sample for each call: the callee, and
// the caller at the line of the call. The compiler looks at nothing else.
type profile struct {
	strings   map[string]uint64
	table     []string
	functions map[string]uint64
	locations map[uint64]uint64 // of instructions
	body      message
	samples   int
}

// Fields of the messages.
const (
	profileSampleType, profileSample, profileMapping, profileLocation, profileFunction, profileStrings = 1, 2, 3, 4, 5, 6

	typeType, typeUnit = 1, 2

	sampleLocations, sampleValues = 1, 2

	mappingID, mappingLimit, mappingHasFunctions = 1, 3, 7

	locationID, locationMapping, locationAddress, locationLine = 1, 2, 3, 4

	lineFunction, lineLine = 1, 2

	functionID, functionName, functionSystemName, functionStart = 1, 2, 3, 5
)

func newProfile() *profile {
	p := &profile{strings: map[string]uint64{}, functions: map[string]uint64{}, locations: map[uint64]uint64{}}
	p.str("")
	var m message
	m.number(typeType, p.str("samples"))
	m.number(typeUnit, p.str("count"))
	p.body.bytes(profileSampleType, m)
	m = nil
	m.number(mappingID, 1)
	m.number(mappingLimit, 1<<64-1)
	m.number(mappingHasFunctions, 1)
	p.body.bytes(profileMapping, m)
	return p
}

// sample adds a call.
func (p *profile) sample(c call, from, to []frame, n int64) {
	locations := binary.AppendUvarint(nil, p.location(c.to, to))
	locations = binary.AppendUvarint(locations, p.location(c.from, from))
	var m message
	m.bytes(sampleLocations, locations)
	m.bytes(sampleValues, binary.AppendUvarint(nil, uint64(n)))
	p.body.bytes(profileSample, m)
	p.samples++
}

func (p *profile) location(pc uint64, frames []frame) uint64 {
	if id := p.locations[pc]; id != 0 {
		return id
	}
	id := uint64(len(p.locations) + 1)
	p.locations[pc] = id
	var m message
	m.number(locationID, id)
	m.number(locationMapping, 1)
	m.number(locationAddress, pc)
	for _, f := range frames {
		var l message
		l.number(lineFunction, p.function(f))
		l.number(lineLine, uint64(f.line))
		m.bytes(locationLine, l)
	}
	p.body.bytes(profileLocation, m)
	return id
}

func (p *profile) function(f frame) uint64 {
	if id := p.functions[f.name]; id != 0 {
		return id
	}
	id := uint64(len(p.functions) + 1)
	p.functions[f.name] = id
	var m message
	m.number(functionID, id)
	m.number(functionName, p.str(f.name))
	m.number(functionSystemName, p.str(f.name))
	m.number(functionStart, uint64(f.start))
	p.body.bytes(profileFunction, m)
	return id
}

func (p *profile) str(s string) uint64 {
	id, ok := p.strings[s]
	if !ok {
		id = uint64(len(p.table))
		p.strings[s] = id
		p.table = append(p.table, s)
	}
	return id
}

func (p *profile) bytes() []byte {
	b := p.body[:len(p.body):len(p.body)]
	for _, s := range p.table {
		b.bytes(profileStrings, []byte(s))
	}
	return b
}

// message is an encoded protocol buffer.
type message []byte

func (m *message) number(field, v uint64) {
	*m = binary.AppendUvarint(*m, field<<3)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) bytes(field uint64, b []byte) {
	*m = binary.AppendUvarint(*m, field<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}
