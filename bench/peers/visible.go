package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// A visibility is how soon DNS has what a registration was acknowledged for, seen from
// outside. Times are in microseconds.
type visibility struct {
	Registrations int     `json:"registrations"`
	AtFirst       int     `json:"atFirst"` // seen by the first query afterwards
	P50           float64 `json:"p50"`     // from the acknowledgement to the answer
	P99           float64 `json:"p99"`
	PlainP50      float64 `json:"plainP50"` // the same for a name that was there before
	PlainP99      float64 `json:"plainP99"`
}

// visible registers instances one by one, and asks for each.
func (b *bench) visible(ctx context.Context, s *server, length time.Duration) (v visibility, err error) {
	return v, b.other(ctx, &v, "visible", "-endpoint", s.endpoint, "-address", s.address,
		"-services", strconv.Itoa(s.services), "-each", strconv.Itoa(s.each), "-length", length.String())
}

// watchVisible is the process that does it.
func watchVisible(args []string) error {
	var w world
	flags := flag.NewFlagSet("visible", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "")
	address := flags.String("address", "", "")
	flags.IntVar(&w.services, "services", 1, "")
	flags.IntVar(&w.each, "each", 1, "")
	length := flags.Duration("length", time.Second, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := dial(*endpoint)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", *address)
	if err != nil {
		return err
	}
	v, err := watchFor(c, conn, w, *length)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(v)
}

func watchFor(c *connection, conn net.Conn, w world, length time.Duration) (v visibility, err error) {
	random := rand.New(rand.NewPCG(1, 1))
	var took, plain []time.Duration
	for began := time.Now(); time.Since(began) < length; v.Registrations++ {
		i := w.any(random)
		id := fmt.Sprintf("seen-%d", v.Registrations)
		path := fmt.Sprintf("/v1/namespaces/%s/services/%s/instances/%s", i.namespace(), i.name(), id)
		before, _, err := untilFound(conn, i.fqdn(), i.six())
		if err != nil {
			return v, err
		}
		plain = append(plain, before)
		if err := c.do(request{http.MethodPut, path, i.body(), http.StatusCreated}); err != nil {
			return v, err
		}
		after, queries, err := untilFound(conn, id+"."+i.serviceAt.fqdn(), i.six())
		if err != nil {
			return v, err
		}
		took = append(took, after)
		if queries == 1 {
			v.AtFirst++
		}
		if err := c.do(request{http.MethodDelete, path, "", http.StatusOK}); err != nil {
			return v, err
		}
	}
	v.P50, v.P99 = micros(percentile(took, 50)), micros(percentile(took, 99))
	v.PlainP50, v.PlainP99 = micros(percentile(plain, 50)), micros(percentile(plain, 99))
	return v, nil
}

// untilFound asks for the address of a name until there is one.
func untilFound(conn net.Conn, name string, six bool) (took time.Duration, queries int, err error) {
	began := time.Now()
	qtype := dns.TypeA
	if six {
		qtype = dns.TypeAAAA
	}
	query, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		return 0, 0, err
	}
	answer := make([]byte, dns.MaxMsgSize)
	for time.Since(began) < time.Second {
		queries++
		if _, err := conn.Write(query); err != nil {
			return 0, 0, err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(answer)
		if err != nil {
			return 0, 0, err
		}
		if n < 12 {
			return 0, 0, errors.New("an answer is shorter than its header")
		}
		// RFC 1035, section 4.1.1: the low bits of the fourth octet are the RCODE, then
		// come the counts of questions and of answers.
		if answer[3]&0xf == dns.RcodeSuccess && answer[6]|answer[7] != 0 {
			return time.Since(began), queries, nil
		}
	}
	return 0, 0, fmt.Errorf("%s was not found within a second", name)
}
