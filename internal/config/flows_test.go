package config

import "testing"

func TestFlows(t *testing.T) {
	for settings, want := range map[string]Flows{
		"STUDY: own\n":     {Summarization: true},
		"STUDY: example\n": {Summarization: true},
		"STUDY: own\nPREFECT: {PROCESS_FLOWS: {SUMMARIZATION: false}}\n":                       {},
		"STUDY: example\nPREFECT: {PROCESS_FLOWS: {SUMMARIZATION: false, DEPLOYMENT: true}}\n": {Deployment: true},
	} {
		s, err := Load(workspace(t, settings), environment())
		if err != nil {
			t.Fatal(err)
		}
		if s.Flows != want {
			t.Errorf("%q: %+v, want %+v", settings, s.Flows, want)
		}
	}
}
