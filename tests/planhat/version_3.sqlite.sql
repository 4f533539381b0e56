BEGIN TRANSACTION;
CREATE TABLE planhat_actions (
	rule_id INTEGER NOT NULL, 
	entity TEXT NOT NULL, 
	action TEXT NOT NULL, 
	PRIMARY KEY (rule_id, entity)
);
INSERT INTO "planhat_actions" VALUES(1,'["f1"]','Export');
CREATE TABLE planhat_copies (
	tenant_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	read_at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, path)
);
INSERT INTO "planhat_copies" VALUES(1,'companies',1773144000000);
INSERT INTO "planhat_copies" VALUES(1,'endusers',1773144000000);
CREATE TABLE planhat_facts (
	item_id INTEGER NOT NULL, 
	bucket BIGINT NOT NULL, 
	app TEXT NOT NULL, 
	name TEXT NOT NULL, 
	number DOUBLE, 
	text TEXT, 
	PRIMARY KEY (item_id, bucket, app, name)
)
 WITHOUT ROWID

;
CREATE TABLE planhat_forgotten (
	tenant_id INTEGER NOT NULL, 
	id_hash TEXT NOT NULL, 
	PRIMARY KEY (tenant_id, id_hash)
);
CREATE TABLE planhat_items (
	id INTEGER NOT NULL, 
	rule_id INTEGER NOT NULL, 
	date BIGINT NOT NULL, 
	subject TEXT NOT NULL, 
	company TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	ends BIGINT NOT NULL, 
	wanted DOUBLE DEFAULT '0' NOT NULL, 
	records BIGINT DEFAULT '0' NOT NULL, 
	sent DOUBLE DEFAULT '0' NOT NULL, 
	posts INTEGER DEFAULT '0' NOT NULL, 
	sent_info TEXT, 
	written_off DOUBLE DEFAULT '0' NOT NULL, 
	claimed DOUBLE, 
	claimed_info TEXT, 
	claimed_at BIGINT, 
	claimed_by BIGINT, 
	doubt DOUBLE DEFAULT '0' NOT NULL, 
	repeated DOUBLE DEFAULT '0' NOT NULL, 
	doubt_words TEXT, 
	changed BOOLEAN DEFAULT 1 NOT NULL, 
	open BOOLEAN DEFAULT 0 NOT NULL, 
	fate TEXT DEFAULT 'waiting' NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	waits_for TEXT, 
	run BIGINT DEFAULT '0' NOT NULL, 
	since BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (rule_id, date, subject, company, entity)
);
INSERT INTO "planhat_items" VALUES(1,1,1773014400000,'nobody','acme','["f1"]',1773100800000,4.0,1,0.0,0,NULL,0.0,NULL,NULL,NULL,NULL,0.0,0.0,NULL,0,1,'parked','Planhat has no end user with this externalId','nobody',1,1773232200000);
INSERT INTO "planhat_items" VALUES(2,1,1773014400000,'u2','acme','["f1"]',1773100800000,5.0,1,2.0,1,NULL,0.0,3.0,NULL,1773232200000,2,0.0,0.0,NULL,0,1,'waiting','',NULL,1,1773232200000);
CREATE TABLE planhat_ledger (
	version INTEGER NOT NULL
);
INSERT INTO "planhat_ledger" VALUES(3);
CREATE TABLE planhat_names (
	tenant_id INTEGER NOT NULL, 
	stream TEXT NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (tenant_id, stream, id)
);
INSERT INTO "planhat_names" VALUES(1,'features','f1','Export');
INSERT INTO "planhat_names" VALUES(1,'features','f2','Search');
CREATE TABLE planhat_objects (
	tenant_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	id TEXT NOT NULL, 
	external_id TEXT, 
	source_id TEXT, 
	email TEXT, 
	company_id TEXT, 
	name TEXT, 
	read_at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, path, id)
);
INSERT INTO "planhat_objects" VALUES(1,'companies','69b14428fd323151b1000001','acme','s-acme',NULL,NULL,'Acme',1773144000000);
INSERT INTO "planhat_objects" VALUES(1,'companies','69b14428fd323151b1000002','beta',NULL,NULL,NULL,'Beta',1773144000000);
INSERT INTO "planhat_objects" VALUES(1,'endusers','69b14428fd323151b1000004','u1',NULL,'u1@acme.example','69b14428fd323151b1000001',NULL,1773144000000);
INSERT INTO "planhat_objects" VALUES(1,'endusers','69b14428fd323151b1000005','u1',NULL,'u1@beta.example','69b14428fd323151b1000002',NULL,1773144000000);
INSERT INTO "planhat_objects" VALUES(1,'endusers','69b14428fd323151b1000006','u2',NULL,'u2@acme.example','69b14428fd323151b1000001',NULL,1773144000000);
CREATE TABLE planhat_people (
	tenant_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	id TEXT NOT NULL, 
	path TEXT NOT NULL, 
	value TEXT NOT NULL, 
	folded TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (tenant_id, kind, id, path)
);
CREATE TABLE planhat_reads (
	rule_id INTEGER NOT NULL, 
	window_start BIGINT NOT NULL, 
	window_end BIGINT NOT NULL, 
	app_ids TEXT NOT NULL, 
	read_at BIGINT NOT NULL, 
	PRIMARY KEY (rule_id, window_start, window_end, app_ids)
);
INSERT INTO "planhat_reads" VALUES(1,1773014400000,1773100800000,'*',1773235800000);
CREATE TABLE planhat_rules (
	id INTEGER NOT NULL, 
	tenant_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	selection TEXT, 
	period TEXT, 
	on_change TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (tenant_id, name)
);
INSERT INTO "planhat_rules" VALUES(1,1,'feature_events','{"combine":"sum","company":"account_id","date":null,"dimension_id":"","granularity":"day","kind":"activity","match":["row","visitor_id","externalId"],"model":"EndUser","named":["feature_id"],"stream":"feature_events","timezone":"UTC","value":"num_events"}','{"action":"{feature_name}","only":[],"where":{}}','hour','report');
CREATE TABLE planhat_runs (
	id INTEGER NOT NULL, 
	tenant_id INTEGER NOT NULL, 
	started BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "planhat_runs" VALUES(1,1,1773232200000);
INSERT INTO "planhat_runs" VALUES(2,1,1773232200000);
CREATE TABLE planhat_tenants (
	id INTEGER NOT NULL, 
	token_hash TEXT NOT NULL, 
	mask_key TEXT, 
	accepted BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (token_hash)
);
INSERT INTO "planhat_tenants" VALUES(1,'4f204143d97acf65b02aa8b72865f5cfa87e2ca683e18db4817ee8ee1ca7552c','0e91464f7f2bec45fa894ba32c2d5a89315d34e666d310051b640f4452383d1a',1);
CREATE TABLE planhat_totals (
	item_id INTEGER NOT NULL, 
	bucket BIGINT NOT NULL, 
	app TEXT NOT NULL, 
	rule_id INTEGER NOT NULL, 
	value DOUBLE NOT NULL, 
	records BIGINT NOT NULL, 
	read_at BIGINT NOT NULL, 
	run BIGINT NOT NULL, 
	PRIMARY KEY (item_id, bucket, app)
)
 WITHOUT ROWID

;
INSERT INTO "planhat_totals" VALUES(1,1773043200000,'1',1,4.0,1,1773235800000,2);
INSERT INTO "planhat_totals" VALUES(2,1773043200000,'1',1,5.0,1,1773235800000,2);
CREATE INDEX planhat_items_changed ON planhat_items (rule_id, id) WHERE changed = 1;
CREATE INDEX planhat_items_parked ON planhat_items (rule_id, since, waits_for) WHERE open = 1 AND fate = 'parked';
CREATE INDEX planhat_items_claimed ON planhat_items (rule_id, id) WHERE claimed IS NOT NULL;
CREATE INDEX planhat_items_unequal ON planhat_items (rule_id) WHERE posts > 0 AND (wanted != sent OR written_off != 0);
CREATE INDEX planhat_items_open ON planhat_items (rule_id, id) WHERE open = 1 AND waits_for IS NULL;
CREATE INDEX planhat_totals_bucket ON planhat_totals (rule_id, bucket);
CREATE INDEX planhat_people_folded ON planhat_people (tenant_id, kind, path, folded);
CREATE INDEX planhat_objects_external_id ON planhat_objects (tenant_id, path, external_id);
CREATE INDEX planhat_objects_email ON planhat_objects (tenant_id, path, email);
CREATE INDEX planhat_objects_source_id ON planhat_objects (tenant_id, path, source_id);
COMMIT;
