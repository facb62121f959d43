package anonymize

// automaton finds many byte strings in one pass: Aho and Corasick,
// "Efficient string matching: an aid to bibliographic search", Communications
// of the ACM 18 (1975), with the failure links resolved into one table. ASCII
// letters match in either case.
type automaton struct {
	class  [256]uint16 // byte → column of next; 0 for bytes that occur in no string
	width  int32
	next   []int32 // state*width + class → state*width
	found  []int32 // state → first entry of hits, or -1
	hits   []hit
	active [256]bool // bytes that leave the root
}

// hit chains the strings that end in a state, longest first.
type hit struct {
	id   int32
	next int32 // in hits, or -1
}

// newAutomaton numbers the strings by their place; empty ones never match.
func newAutomaton(texts [][]byte) *automaton {
	a := &automaton{width: 1}
	states := 1
	for _, text := range texts {
		states += len(text)
		for _, c := range text {
			if a.class[c] == 0 {
				a.class[c] = uint16(a.width)
				a.class[flip(c)] = uint16(a.width)
				a.width++
			}
		}
	}

	// The trie: 0 is the root, and also "none", for no edge leads back to it.
	children := make([]int32, a.width, states*int(a.width))
	a.found = append(make([]int32, 0, states), -1)
	for id, text := range texts {
		if len(text) == 0 {
			continue
		}
		state := int32(0)
		for _, c := range text {
			edge := state*a.width + int32(a.class[c])
			if children[edge] == 0 {
				children[edge] = int32(len(a.found))
				children = append(children, make([]int32, a.width)...)
				a.found = append(a.found, -1)
			}
			state = children[edge]
		}
		a.hits = append(a.hits, hit{int32(id), a.found[state]})
		a.found[state] = int32(len(a.hits) - 1)
	}

	// Breadth first, so that a state's failure state is complete before it.
	fail := make([]int32, len(a.found))
	queue := make([]int32, 0, len(a.found))
	for c := int32(1); c < a.width; c++ {
		if child := children[c]; child != 0 {
			queue = append(queue, child)
		}
	}
	for i := 0; i < len(queue); i++ {
		state := queue[i]
		if inherited := a.found[fail[state]]; inherited >= 0 {
			a.append(state, inherited)
		}
		for c := int32(0); c < a.width; c++ {
			beyond := children[fail[state]*a.width+c]
			edge := state*a.width + c
			if child := children[edge]; child != 0 {
				fail[child] = beyond
				queue = append(queue, child)
			} else {
				children[edge] = beyond
			}
		}
	}
	for edge := range children {
		children[edge] *= a.width
	}
	a.next = children
	for c := range a.active {
		a.active[c] = children[a.class[c]] != 0
	}
	return a
}

// append puts an inherited chain behind the state's own.
func (a *automaton) append(state, chain int32) {
	at := a.found[state]
	if at < 0 {
		a.found[state] = chain
		return
	}
	for a.hits[at].next >= 0 {
		at = a.hits[at].next
	}
	a.hits[at].next = chain
}

func flip(c byte) byte {
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return c ^ 0x20
	}
	return c
}

// scan calls visit for every string that ends before data[end], by rising end.
func (a *automaton) scan(data []byte, visit func(id, end int)) {
	state := int32(0)
	for i := 0; i < len(data); i++ {
		if state == 0 && !a.active[data[i]] {
			continue
		}
		state = a.next[state+int32(a.class[data[i]])]
		for h := a.found[state/a.width]; h >= 0; h = a.hits[h].next {
			visit(int(a.hits[h].id), i+1)
		}
	}
}
